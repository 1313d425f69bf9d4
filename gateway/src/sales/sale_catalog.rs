//! A materialized view of the topic `sales`: all sales and all settled positions, message by message.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use contract::ids::{Epoch, SaleId};
use contract::keys::SaleKeys;
use contract::publication::{
    self, Position, SalePublication, SalesMessage, UndecodableMessage, UnreadablePublication,
};
use contract::timestamp::Timestamp;
use contract::topics::SALES;
use invariants::position;
use process::boottime::Boottime;
use process::invariant;

use crate::sales::sale_view::SaleView;

/// The sales and positions that the topic has published so far.
#[derive(Default)]
pub(crate) struct SaleCatalog {
    pub(crate) sales: HashMap<SaleId, Arc<SaleView>>,
    /// The sales whose newest publication this version cannot read, with its rank. They are not sold.
    unreadable: HashMap<SaleId, (Epoch, u64)>,
    /// The keys that do not identify the sale that they publish. While there are any, no sale is sold.
    undecodable_keys: HashSet<Box<[u8]>>,
    /// How far each partition of the log is settled.
    pub(crate) settled: BTreeMap<i32, SettledPosition>,
}

/// How far a partition is settled, and how far its owner was behind when it said so. Both times are of one clock each:
/// the owner's, and this machine's since the message was read. The two clocks are never compared.
#[derive(Debug, Clone, Copy)]
pub struct SettledPosition {
    /// The position that the owner has published.
    pub position: Position,
    /// How long ago everything before the position was appended, when the owner published it.
    pub lag: Duration,
    /// When this gateway read it.
    pub read_at: Boottime,
}

/// Which part of the catalog a message has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) sales: bool,
    pub(crate) positions: bool,
}

impl SaleCatalog {
    /// Applies one message, which was written at this time by its producer's clock.
    pub(crate) fn apply(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        written_at: Option<Timestamp>,
        changed: &mut Changed,
    ) {
        if value.is_none() {
            self.undecodable_keys.remove(key); // an operator has deleted it
        }
        match publication::decode(key, value) {
            Ok(SalesMessage::Sale(publication)) => changed.sales |= self.apply_sale(*publication),
            Ok(SalesMessage::Unreadable(publication)) => changed.sales |= self.stop_selling(&publication),
            Ok(SalesMessage::Position(position)) => {
                self.apply_position(position, written_at.unwrap_or(position.settled_until));
                changed.positions = true;
            }
            Ok(SalesMessage::Heartbeat(_) | SalesMessage::Other) => {}
            Err(error @ UndecodableMessage::Key { .. }) => {
                tracing::error!(%error, topic = SALES.name, "no sale is sold until the message is deleted");
                self.undecodable_keys.insert(key.into());
            }
            Err(error @ UndecodableMessage::Value { .. }) => {
                tracing::error!(%error, topic = SALES.name, "skipping undecodable message");
            }
        }
    }

    /// Returns whether every sale in the topic is known by its name: only then can there be a lease.
    pub(crate) fn knows_all_sales(&self) -> bool {
        self.undecodable_keys.is_empty()
    }

    /// Returns the sales that are not known at all, because no publication of them could be read.
    pub(crate) fn unknown_sales(&self) -> HashSet<SaleId> {
        self.unreadable.keys().filter(|sale| !self.sales.contains_key(*sale)).cloned().collect()
    }

    /// Returns the number of publications that cannot be read.
    pub(crate) fn unreadable_count(&self) -> usize {
        self.unreadable.len() + self.undecodable_keys.len()
    }

    /// Stops selling a sale by what was read of it before: a newer publication cannot be read. Returns whether it is
    /// newer.
    fn stop_selling(&mut self, newer: &UnreadablePublication) -> bool {
        let known = self.sales.get(&newer.sale_id).map(|view| view.publication.rank());
        let before = known.max(self.unreadable.get(&newer.sale_id).copied());
        // Without a version, it is taken for the next one of its epoch.
        let next = match before {
            Some((epoch, version)) if epoch == newer.epoch => version + 1,
            _ => 0,
        };
        let rank = (newer.epoch, newer.version.unwrap_or(next));
        if before.is_some_and(|before| before >= rank) {
            return false;
        }
        tracing::error!(
            sale_id = %newer.sale_id, epoch = %newer.epoch, version = newer.version, why = newer.why,
            "the sale is not sold here: this version cannot read its publication"
        );
        self.unreadable.insert(newer.sale_id.clone(), rank);
        if let Some(view) = self.sales.get_mut(&newer.sale_id) {
            *view = Arc::new(view.not_ready());
        }
        true
    }

    /// A record that one owner has settled stays settled, whatever a former owner publishes later.
    fn apply_position(&mut self, position: Position, written_at: Timestamp) {
        let known = self.settled.get(&position.partition);
        if known.is_none_or(|known| known.position.next_offset <= position.next_offset) {
            let lag = Duration::from_millis(written_at.0.saturating_sub(position.settled_until.0));
            let read_at = Boottime::now();
            self.settled.insert(position.partition, SettledPosition { position, lag, read_at });
        }
    }

    /// Applies a publication unless it is older, by epoch and version. Returns whether it was applied.
    fn apply_sale(&mut self, publication: SalePublication) -> bool {
        let current = self.sales.get(&publication.sale_id);
        if current.is_some_and(|current| current.publication.rank() >= publication.rank()) {
            return false;
        }
        tracing::info!(
            sale_id = %publication.sale_id, epoch = %publication.epoch, version = publication.version,
            state = publication.state.as_str(), ready = publication.ready, "sale definition was read"
        );
        if let Some(current) = current {
            let (before, after) = (current.epoch().0, publication.epoch.0);
            invariant::check(&publication.sale_id, position::epoch_never_decreases(before, after));
        }
        let sale = publication.sale_id.clone();
        let keys = SaleKeys::new(&sale, publication.epoch);
        let view = SaleView { publication, keys };
        let is_newest =
            self.unreadable.get(&sale).is_none_or(|unreadable| *unreadable < view.publication.rank());
        if is_newest {
            self.unreadable.remove(&sale);
        }
        self.sales.insert(sale, Arc::new(if is_newest { view } else { view.not_ready() }));
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use contract::wire;

    /// Returns the key and the value of a published sale.
    pub(crate) fn message(epoch: u64, version: u64, ready: bool) -> (String, Vec<u8>) {
        let value = serde_json::json!({
            "sale_id": "s", "partition": 0, "state": "open", "version": version, "epoch": epoch, "ready": ready,
            "terms": {"title": "T", "currency": "KRW", "items": [{"sku": "A", "name": "A", "price": 1, "total": 1}]},
        });
        (format!("s/{epoch}"), wire::encode(&value).to_vec())
    }

    #[test]
    fn a_sale_never_returns_to_an_older_epoch_or_version() {
        let mut catalog = SaleCatalog::default();
        for (epoch, version, expected) in
            [(2, 5, true), (1, 9, false), (2, 4, false), (2, 5, false), (2, 6, true), (3, 1, true)]
        {
            let (key, value) = message(epoch, version, true);
            let mut changed = Changed::default();
            catalog.apply(key.as_bytes(), Some(&value), None, &mut changed);
            let expected = Changed { sales: expected, positions: false };
            assert_eq!(changed, expected, "epoch {epoch} version {version}");
        }
    }

    /// Applies a published sale to which a newer version has added something, and returns whether it is sold.
    fn apply(catalog: &mut SaleCatalog, epoch: u64, version: u64, added: serde_json::Value) -> bool {
        let (key, value) = message(epoch, version, true);
        let mut value: serde_json::Value = wire::decode(&value).unwrap();
        for (name, member) in added.as_object().unwrap() {
            value[name] = member.clone();
        }
        catalog.apply(key.as_bytes(), Some(&wire::encode(&value)), None, &mut Changed::default());
        catalog.sales.get("s").is_some_and(|view| view.publication.ready)
    }

    #[test]
    fn members_that_are_not_known_are_ignored() {
        let mut catalog = SaleCatalog::default();
        let items = serde_json::json!([{"sku": "A", "name": "A", "price": 1, "total": 1, "vat": 10}]);
        let terms = serde_json::json!({"title": "T", "currency": "KRW", "vat": true, "items": items});
        assert!(apply(&mut catalog, 1, 1, serde_json::json!({"terms": terms, "vat": 1, "requires": 0})));
        assert_eq!(catalog.unreadable_count(), 0);
    }

    #[test]
    fn a_sale_whose_newest_publication_cannot_be_read_is_not_sold_until_a_newer_one_can() {
        let (none, newer) = (serde_json::json!({}), serde_json::json!({"requires": u32::MAX}));
        let mut catalog = SaleCatalog::default();
        assert!(apply(&mut catalog, 2, 5, none.clone()));
        assert!(apply(&mut catalog, 1, 9, newer.clone()), "of an older epoch");
        assert!(
            apply(&mut catalog, 2, 5, newer.clone()),
            "the same version, written again by a newer publisher"
        );
        assert!(!apply(&mut catalog, 2, 6, newer), "a newer version");
        assert!(!apply(&mut catalog, 2, 6, none.clone()), "the same version, without what must be known");
        assert_eq!(catalog.unreadable_count(), 1);
        assert!(apply(&mut catalog, 2, 7, none.clone()), "one that can be read");
        assert!(
            !apply(&mut catalog, 3, 1, serde_json::json!({"state": "ended"})),
            "a state that is not known"
        );
        assert!(!apply(&mut catalog, 2, 9, none.clone()), "of an older epoch");
        assert!(!apply(&mut catalog, 3, 2, serde_json::json!({"version": "2"})), "without a version");
        assert!(apply(&mut catalog, 4, 1, none), "a later epoch");
        assert_eq!((catalog.unreadable_count(), catalog.unknown_sales().len()), (0, 0));
    }

    #[test]
    fn a_sale_of_which_nothing_could_be_read_is_known_by_its_name() {
        let mut catalog = SaleCatalog::default();
        assert!(!apply(&mut catalog, 1, 1, serde_json::json!({"state": "ended"})));
        assert_eq!(catalog.unknown_sales(), HashSet::from([SaleId::parse("s").unwrap()]));
        assert!(apply(&mut catalog, 1, 2, serde_json::json!({})));
        assert!(catalog.unknown_sales().is_empty());
    }

    #[test]
    fn a_key_that_names_no_sale_ends_the_lease_until_it_is_deleted() {
        for key in ["s!/1", "s/one", "/1", "s/"] {
            let mut catalog = SaleCatalog::default();
            catalog.apply(key.as_bytes(), Some(b"{}"), None, &mut Changed::default());
            assert!(!catalog.knows_all_sales(), "{key}");
            catalog.apply(key.as_bytes(), None, None, &mut Changed::default());
            assert!(catalog.knows_all_sales(), "{key}");
        }
        let mut catalog = SaleCatalog::default();
        catalog.apply(b"kind:new", Some(b"{}"), None, &mut Changed::default());
        assert!(catalog.knows_all_sales(), "a kind of message that a later version writes");
    }

    #[test]
    fn a_settled_position_never_moves_back_whatever_a_former_owner_publishes() {
        let mut catalog = SaleCatalog::default();
        for (offset, expected) in [(1000, 1000), (500, 1000), (2000, 2000)] {
            let position = Position { partition: 3, next_offset: offset, settled_until: Timestamp(1) };
            let value = wire::encode(&position);
            catalog.apply(position.key().as_bytes(), Some(&value), None, &mut Changed::default());
            assert_eq!(catalog.settled[&3].position.next_offset, expected);
        }
    }

    #[test]
    fn the_lag_of_an_owner_does_not_depend_on_the_time_of_this_machine() {
        let mut catalog = SaleCatalog::default();
        for hours in [1, 1_000_000] {
            let written_at = Timestamp(hours * 3_600_000);
            let position =
                Position { partition: 3, next_offset: 7, settled_until: Timestamp(written_at.0 - 250) };
            let (key, value) = (position.key(), wire::encode(&position));
            catalog.apply(key.as_bytes(), Some(&value), Some(written_at), &mut Changed::default());
            assert_eq!(catalog.settled[&3].lag, Duration::from_millis(250));
        }
    }
}

//! A materialized view of the topic `sales`: all sales and all settled positions, message by message.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use contract::ids::SaleId;
use contract::keys::SaleKeys;
use contract::publication::{self, Position, SalePublication, SalesMessage};
use contract::topics::SALES;
use invariants::position;
use process::invariant;

use crate::sales::sale_view::SaleView;

/// The sales and positions that the topic has published so far.
#[derive(Default)]
pub(crate) struct SaleCatalog {
    pub(crate) sales: HashMap<SaleId, Arc<SaleView>>,
    /// How far each partition of the log is settled.
    pub(crate) settled: BTreeMap<i32, Position>,
}

/// Which part of the catalog a message has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) sales: bool,
    pub(crate) positions: bool,
}

impl SaleCatalog {
    /// Applies one message.
    pub(crate) fn apply(&mut self, key: &[u8], value: Option<&[u8]>, changed: &mut Changed) {
        match publication::decode(key, value) {
            Ok(SalesMessage::Sale(publication)) => changed.sales |= self.apply_sale(*publication),
            Ok(SalesMessage::Position(position)) => {
                self.apply_position(position);
                changed.positions = true;
            }
            Ok(SalesMessage::Heartbeat(_) | SalesMessage::Other) => {}
            Err(error) => tracing::error!(%error, topic = SALES.name, "skipping undecodable message"),
        }
    }

    /// A record that one owner has settled stays settled, whatever a former owner publishes later.
    fn apply_position(&mut self, position: Position) {
        let settled = self.settled.entry(position.partition).or_insert(position);
        settled.settled_until = position.settled_until.max(settled.settled_until);
        settled.next_offset = position.next_offset.max(settled.next_offset);
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
        let keys = SaleKeys::new(&publication.sale_id, publication.epoch);
        self.sales.insert(publication.sale_id.clone(), Arc::new(SaleView { publication, keys }));
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use contract::timestamp::Timestamp;
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
            catalog.apply(key.as_bytes(), Some(&value), &mut changed);
            let expected = Changed { sales: expected, positions: false };
            assert_eq!(changed, expected, "epoch {epoch} version {version}");
        }
    }

    #[test]
    fn a_settled_position_never_moves_back_whatever_a_former_owner_publishes() {
        let mut catalog = SaleCatalog::default();
        for (ms, expected) in [(1000, 1000), (500, 1000), (2000, 2000)] {
            let position = Position { partition: 3, next_offset: ms as i64, settled_until: Timestamp(ms) };
            let value = wire::encode(&position);
            catalog.apply(position.key().as_bytes(), Some(&value), &mut Changed::default());
            let settled = catalog.settled[&3];
            assert_eq!((settled.settled_until.0, settled.next_offset), (expected, expected as i64));
        }
    }
}

//! What the topic `sales` has said so far, message by message.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use contract::ids::SaleId;
use contract::keys::SaleKeys;
use contract::publication::{self, Position, SalePublication, SalesMessage};
use contract::topics::SALES;

use crate::sales::sale_view::SaleView;

/// What the topic has said so far.
#[derive(Default)]
pub(crate) struct SaleCatalog {
    pub(crate) sales: HashMap<SaleId, Arc<SaleView>>,
    pub(crate) settled: BTreeMap<i32, Position>,
}

/// What of it is new.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) sales: bool,
    pub(crate) positions: bool,
}

impl SaleCatalog {
    /// Takes a message in.
    pub(crate) fn apply(&mut self, key: &[u8], value: Option<&[u8]>, changed: &mut Changed) {
        match publication::decode(key, value) {
            Ok(SalesMessage::Sale(publication)) => changed.sales |= self.sale(*publication),
            // What one owner has settled stays settled, whatever a former one says later.
            Ok(SalesMessage::Position(position)) => {
                let settled = self.settled.entry(position.partition).or_insert(position);
                settled.settled_until = position.settled_until.max(settled.settled_until);
                settled.next_offset = position.next_offset.max(settled.next_offset);
                changed.positions = true;
            }
            Ok(SalesMessage::Heartbeat(_) | SalesMessage::Other) => {}
            Err(error) => tracing::error!(%error, topic = SALES.name, "passed over"),
        }
    }

    /// Never goes back in (epoch, version). Whether anything changed.
    fn sale(&mut self, publication: SalePublication) -> bool {
        let known = self.sales.get(&publication.sale_id);
        if known.is_some_and(|known| known.publication.rank() >= publication.rank()) {
            return false;
        }
        tracing::info!(
            sale_id = %publication.sale_id, epoch = %publication.epoch, version = publication.version,
            state = publication.state.as_str(), ready = publication.ready, "sale read"
        );
        let keys = SaleKeys::new(&publication.sale_id, publication.epoch);
        self.sales.insert(publication.sale_id.clone(), Arc::new(SaleView { publication, keys }));
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use contract::timestamp::Timestamp;

    /// A sale as it is published: key and value.
    pub(crate) fn message(epoch: u64, version: u64, ready: bool) -> (String, Vec<u8>) {
        let value = serde_json::json!({
            "sale_id": "s", "partition": 0, "state": "open", "version": version, "epoch": epoch, "ready": ready,
            "terms": {"title": "T", "currency": "KRW", "items": [{"sku": "A", "name": "A", "price": 1, "total": 1}]},
        });
        (format!("s/{epoch}"), serde_json::to_vec(&value).unwrap())
    }

    #[test]
    fn knowledge_never_goes_back_in_epoch_and_version() {
        let mut known = SaleCatalog::default();
        for (epoch, version, expected) in
            [(2, 5, true), (1, 9, false), (2, 4, false), (2, 5, false), (2, 6, true), (3, 1, true)]
        {
            let (key, value) = message(epoch, version, true);
            let mut changed = Changed::default();
            known.apply(key.as_bytes(), Some(&value), &mut changed);
            let expected = Changed { sales: expected, positions: false };
            assert_eq!(changed, expected, "epoch {epoch} version {version}");
        }
    }

    #[test]
    fn what_is_settled_stays_settled_whatever_a_former_owner_says() {
        let mut known = SaleCatalog::default();
        for (ms, expected) in [(1000, 1000), (500, 1000), (2000, 2000)] {
            let position = Position { partition: 3, next_offset: ms as i64, settled_until: Timestamp(ms) };
            let value = serde_json::to_vec(&position).unwrap();
            known.apply(position.key().as_bytes(), Some(&value), &mut Changed::default());
            let settled = known.settled[&3];
            assert_eq!((settled.settled_until.0, settled.next_offset), (expected, expected as i64));
        }
    }
}

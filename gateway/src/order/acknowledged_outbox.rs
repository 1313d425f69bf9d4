//! Outbox entries that the log has acknowledged, until Redis has deleted them.

use contract::ids::Epoch;
use contract::record::OutboxId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Outbox entries that Redis may delete. The sale's next script call deletes them, or a short flush when there
/// is no call.
#[derive(Default)]
pub(super) struct Acknowledged {
    entries: Mutex<Vec<(Epoch, OutboxId)>>,
    added: Notify,
}

impl Acknowledged {
    /// Adds an entry that the log has acknowledged.
    pub(super) fn add(&self, epoch: Epoch, id: OutboxId) {
        self.entries.lock().push((epoch, id));
        self.added.notify_one();
    }

    /// Waits until there is an entry.
    pub(super) async fn wait_for_entry(&self) {
        while self.entries.lock().is_empty() {
            self.added.notified().await;
        }
    }

    /// Returns up to `max` entries of this epoch. They stay here until they are [`Self::remove`]d, so that a
    /// call that fails or is abandoned loses none. Entries of other epochs are dropped: their keys are gone.
    pub(super) fn first(&self, epoch: Epoch, max: usize) -> Vec<OutboxId> {
        let mut entries = self.entries.lock();
        entries.retain(|(of, _)| *of == epoch);
        entries.iter().take(max).map(|(_, id)| *id).collect()
    }

    /// Removes entries that Redis has deleted.
    pub(super) fn remove(&self, epoch: Epoch, ids: &[OutboxId]) {
        self.entries.lock().retain(|(of, id)| *of != epoch || !ids.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::ids::Sequence;

    #[test]
    fn an_acknowledged_entry_stays_until_redis_has_deleted_it() {
        let acknowledged = Acknowledged::default();
        let ids = [1, 2, 3].map(|first| OutboxId::batch(Sequence(first), 1));
        acknowledged.add(Epoch(1), OutboxId::batch(Sequence(9), 1));
        for id in ids {
            acknowledged.add(Epoch(2), id);
        }
        assert_eq!(acknowledged.first(Epoch(2), 2), ids[..2]);
        assert_eq!(acknowledged.first(Epoch(2), 2), ids[..2], "an abandoned call has lost nothing");
        acknowledged.remove(Epoch(2), &ids[..2]);
        assert_eq!(acknowledged.first(Epoch(2), 9), ids[2..], "and the older epoch's entry is gone");
    }
}

//! The progress of the settle loop: how far each partition is settled, and notifications that there are units to
//! release or sales to publish. No task that waits for it can block the loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::store::BatchSpan;

/// The progress, shared by the settle loop and the tasks that follow it.
#[derive(Clone, Default)]
pub struct Progress(Arc<Shared>);

#[derive(Default)]
struct Shared {
    next_offsets: Mutex<BTreeMap<i32, i64>>,
    releases: Notify,
    sales: Notify,
}

impl Progress {
    /// Records the offsets from which the loop begins to settle.
    pub fn record_start(&self, positions: &[(i32, i64)]) {
        self.0.next_offsets.lock().extend(positions.iter().copied());
        // A former owner may have left units that are not yet released.
        self.0.releases.notify_one();
    }

    /// Records that a batch is committed. `has_releases`: units may be released, and sales have changed.
    pub fn record_commit(&self, partition: i32, span: BatchSpan, has_releases: bool) {
        self.0.next_offsets.lock().insert(partition, span.to_offset);
        if has_releases {
            self.0.releases.notify_one();
            self.0.sales.notify_one();
        }
    }

    /// Returns the offset of the next record to settle; `None` for a partition that this process never owned.
    pub fn next_offset(&self, partition: i32) -> Option<i64> {
        self.0.next_offsets.lock().get(&partition).copied()
    }

    /// Waits until there may be units to release.
    pub async fn wait_for_releases(&self) {
        self.0.releases.notified().await;
    }
    /// Waits until a sale may have changed.
    pub async fn wait_for_sales(&self) {
        self.0.sales.notified().await;
    }
}

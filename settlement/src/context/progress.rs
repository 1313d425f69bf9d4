//! Word from the settle loop to those who follow it: how far each partition is, and that there is
//! something to release or to publish. Nobody can hold the loop up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::BatchSpan;

/// Shared by the loop and its followers.
#[derive(Clone, Default)]
pub struct Progress(Arc<Inner>);

#[derive(Default)]
struct Inner {
    next_offsets: Mutex<BTreeMap<i32, i64>>,
    releases: Notify,
    sales: Notify,
}

impl Progress {
    /// The loop begins at these offsets.
    pub fn placed(&self, positions: &[(i32, i64)]) {
        self.next_offsets().extend(positions.iter().copied());
        // What a former owner left behind is to be released, too.
        self.0.releases.notify_one();
    }

    /// A batch is committed.
    pub fn settled(&self, partition: i32, span: BatchSpan, released: bool) {
        self.next_offsets().insert(partition, span.to_offset);
        if released {
            self.0.releases.notify_one();
            self.0.sales.notify_one();
        }
    }

    /// The next offset to settle, as far as it was ever known here.
    pub fn next_offset(&self, partition: i32) -> Option<i64> {
        self.next_offsets().get(&partition).copied()
    }

    /// Ends when there may be units to release.
    pub async fn releases(&self) {
        self.0.releases.notified().await;
    }
    /// Ends when a sale may have changed.
    pub async fn sales(&self) {
        self.0.sales.notified().await;
    }
    /// A sale has changed.
    pub fn sale_changed(&self) {
        self.0.sales.notify_one();
    }

    fn next_offsets(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, i64>> {
        // A panic while it was held cannot have left it half written: each use is one insert or read.
        self.0.next_offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

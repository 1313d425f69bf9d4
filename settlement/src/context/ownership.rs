//! Which partitions of the log this process settles. The consumer group decides; everything else that
//! belongs to an owner (relay, release, rebuilds, events, gauges) follows.
//!
//! Two processes may both believe in an ownership for a moment. Nothing here rests on it: positions
//! and cursors move by compare-and-set, epochs too, and a doubled record is dropped by its order ids.

use std::sync::Arc;

use tokio::sync::watch;

/// The owned partitions, in order.
pub type OwnedPartitions = Arc<[i32]>;

/// The settle loop's end.
pub type OwnershipSender = watch::Sender<OwnedPartitions>;

/// Everyone else's end.
#[derive(Clone)]
pub struct Ownership(watch::Receiver<OwnedPartitions>);

/// Nothing owned so far.
pub fn channel() -> (OwnershipSender, Ownership) {
    let (announce, receiver) = watch::channel(OwnedPartitions::from([]));
    (announce, Ownership(receiver))
}

impl Ownership {
    /// What is owned now.
    pub fn now(&self) -> OwnedPartitions {
        self.0.borrow().clone()
    }
    /// Whether this partition is.
    pub fn holds(&self, partition: i32) -> bool {
        self.0.borrow().contains(&partition)
    }
}

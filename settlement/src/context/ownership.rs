//! The partitions of the log that this process owns. The consumer group decides; everything else that belongs to
//! an owner (relay, release, rebuilds, events, gauges) follows.
//!
//! For a moment, two processes may both consider themselves the owner. Correctness does not depend on it: positions
//! and cursors move by compare-and-set, epochs too, and a duplicate record is dropped by its order ids.

use std::sync::Arc;

use tokio::sync::watch;

/// The owned partitions, in order.
pub type OwnedPartitions = Arc<[i32]>;

/// The sender that the settle loop uses to publish the owned partitions.
pub type OwnershipSender = watch::Sender<OwnedPartitions>;

/// The receiver that all other tasks use to read the owned partitions.
#[derive(Clone)]
pub struct Ownership(watch::Receiver<OwnedPartitions>);

/// Creates the channel. No partition is owned at first.
pub fn channel() -> (OwnershipSender, Ownership) {
    let (sender, receiver) = watch::channel(OwnedPartitions::from([]));
    (sender, Ownership(receiver))
}

impl Ownership {
    /// Returns the partitions that are owned now.
    pub fn current(&self) -> OwnedPartitions {
        self.0.borrow().clone()
    }
    /// Returns whether this partition is owned now.
    pub fn owns(&self, partition: i32) -> bool {
        self.0.borrow().contains(&partition)
    }
}

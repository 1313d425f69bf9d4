//! The ends of owned partitions of the log, measured by [`crate::observe::lag`] and read by other tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::timestamp::Timestamp;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// One measurement of a partition.
#[derive(Debug, Clone, Copy)]
pub struct LagMeasurement {
    /// When the broker was queried.
    pub measured_at: Instant,
    /// The offset behind the last record of the log.
    pub end: i64,
    /// The offset of the next record to settle.
    pub next_offset: i64,
    /// Every record that was appended before this time is settled.
    pub settled_until: Timestamp,
}

/// The ends of owned partitions. Clones share the same state.
#[derive(Clone)]
pub struct LogEnds(Arc<Shared>);

struct Shared {
    requested: Mutex<bool>,
    wake: Condvar,
    ends: watch::Sender<BTreeMap<i32, LagMeasurement>>,
    /// When Kafka last responded.
    responded_at: Mutex<Option<Instant>>,
}

impl Default for LogEnds {
    fn default() -> Self {
        Self(Arc::new(Shared {
            requested: Mutex::default(),
            wake: Condvar::new(),
            ends: watch::channel(BTreeMap::new()).0,
            responded_at: Mutex::default(),
        }))
    }
}

impl LogEnds {
    /// Returns the end of a partition's log, queried after `since`: every record that was acknowledged before
    /// `since` lies below it. Returns `None` if it was not measured within `limit`.
    pub async fn end_after(&self, partition: i32, since: Instant, limit: Duration) -> Option<i64> {
        let mut ends = self.0.ends.subscribe();
        let is_fresh = |ends: &BTreeMap<i32, LagMeasurement>| {
            ends.get(&partition).is_some_and(|measurement| measurement.measured_at >= since)
        };
        if !is_fresh(&ends.borrow()) {
            *self.0.requested.lock() = true;
            self.0.wake.notify_one();
        }
        let fresh = tokio::time::timeout(limit, ends.wait_for(is_fresh)).await.ok()?.ok()?;
        fresh.get(&partition).map(|measurement| measurement.end)
    }

    /// Returns the last measurement of a partition, if it was made after `since`.
    pub fn measurement(&self, partition: i32, since: Instant) -> Option<LagMeasurement> {
        self.0.ends.borrow().get(&partition).copied().filter(|measurement| measurement.measured_at >= since)
    }

    /// Returns whether Kafka has responded to a measurement after `since`.
    pub fn responded_since(&self, since: Instant) -> bool {
        self.0.responded_at.lock().is_some_and(|at| at >= since)
    }

    /// Records a measurement and wakes the tasks that wait for it.
    pub fn record(&self, partition: i32, measurement: LagMeasurement) {
        self.0.ends.send_modify(|ends| {
            ends.insert(partition, measurement);
        });
    }

    /// Records that Kafka has responded.
    pub fn record_response(&self, at: Instant) {
        *self.0.responded_at.lock() = Some(at);
    }

    /// Blocks until a measurement is requested, or until `limit` has passed. Returns whether it was requested.
    pub fn wait_for_request(&self, limit: Duration) -> bool {
        let mut requested = self.0.requested.lock();
        self.0.wake.wait_while_for(&mut requested, |requested| !*requested, limit);
        std::mem::take(&mut *requested)
    }
}

//! Detection of a consumer that no longer works. A consumer cannot detect it itself: one that has lost its brokers
//! permanently and one that has nothing to read receive equally little. So it is judged by what other clients, or
//! other requests, report about the brokers and the ends of the partitions.
//!
//! The judgement is a pure function of the observations and the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::STALL_MAX;
use crate::metric::Counter;

/// The interval of the checks of a consumer.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a member of a group may have no assignment, although the brokers respond. The group usually assigns
/// partitions much faster.
const UNASSIGNED_MAX: Duration = Duration::from_secs(15);

/// The reason why a consumer must be replaced.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerFailure {
    /// The client reported a fatal error.
    #[error("the consumer failed: {0}")]
    Fatal(#[from] KafkaError),
    /// The position in a partition does not advance towards its end.
    #[error("the consumer is stalled: the log end offset advances but no record is received")]
    Stalled,
    /// The group has not assigned any partitions.
    #[error("the consumer was not assigned any partitions, although the broker is reachable")]
    Unassigned,
    /// The consumer's client has received no response to its requests.
    #[error("the consumer's client has received no response from the brokers for too long")]
    Unresponsive,
}

impl ConsumerFailure {
    /// Counts and logs that the consumer is replaced.
    pub fn report_replacement(&self, replaced: &Counter) {
        replaced.increment(1);
        tracing::warn!(error = %self, "replacing the Kafka consumer");
    }
}

/// The limits after which a consumer counts as failed. `None`: the condition is not checked.
#[derive(Debug, Clone, Copy)]
pub struct WatchdogLimits {
    /// The interval of the checks.
    pub check_interval: Duration,
    /// How long the position in a partition may not advance although the partition has more records.
    pub stalled: Duration,
    /// How long the group may not assign partitions although the brokers respond.
    pub unassigned: Option<Duration>,
    /// How long the client may receive no response. Only for consumers that are observed through their own client: if
    /// another client gets no response either, a replacement does not help.
    pub unresponsive: Option<Duration>,
}

impl WatchdogLimits {
    /// The limits of a member of a consumer group, which another client observes.
    pub const GROUP: Self = Self {
        check_interval: CHECK_INTERVAL,
        stalled: STALL_MAX,
        unassigned: Some(UNASSIGNED_MAX),
        unresponsive: None,
    };
    /// The limits of a client that only sends requests and consumes nothing.
    pub const REQUESTS: Self = Self { unassigned: None, unresponsive: Some(STALL_MAX), ..Self::GROUP };
}

/// The progress of a consumer in one partition.
#[derive(Debug, Clone, Copy)]
pub struct PartitionProgress<P> {
    /// The partition that is consumed.
    pub partition: P,
    /// The offset of the next record that the consumer will receive.
    pub next: i64,
    /// The offset after the last known record of the partition.
    pub end: i64,
}

/// The watchdog of one consumer, which has no assignment at first. `P` identifies a partition.
#[derive(Debug)]
pub struct Watchdog<P> {
    limits: WatchdogLimits,
    check_at: Instant,
    /// The partitions that have more records: the next offset, and since when it has not advanced.
    behind: BTreeMap<P, (i64, Instant)>,
    /// Whether the group has assigned partitions (or none, explicitly), and since when.
    assigned: (bool, Instant),
    responded_at: Instant,
}

impl<P: Ord> Watchdog<P> {
    /// Starts the watchdog of a new consumer.
    pub fn new(limits: WatchdogLimits, now: Instant) -> Self {
        Self { limits, check_at: now, behind: BTreeMap::new(), assigned: (false, now), responded_at: now }
    }

    /// Records whether the group has assigned partitions to the consumer.
    pub fn set_assigned(&mut self, is: bool, now: Instant) {
        if self.assigned.0 != is {
            self.assigned = (is, now);
        }
    }

    /// Restarts the time limit of the assignment, because something other than Kafka delays it.
    pub fn restart_assignment_timer(&mut self, now: Instant) {
        self.assigned.1 = now;
    }

    /// Restarts the limit of progress, because the consumer starts at other positions.
    pub fn restart_progress(&mut self) {
        self.behind.clear();
    }

    /// Restarts all time limits, because the client was replaced.
    pub fn restart(&mut self, now: Instant) {
        *self = Self { check_at: self.check_at, ..Self::new(self.limits, now) };
    }

    /// Returns whether the next [check](Self::judge) is due.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.check_at;
        if due {
            self.check_at = now + self.limits.check_interval;
        }
        due
    }

    /// Judges the consumer. `progress` has the partitions that it should be reading now, as far as their ends are
    /// known; `responsive` is whether the observing client has received a response recently.
    pub fn judge(
        &mut self,
        progress: impl IntoIterator<Item = PartitionProgress<P>>,
        responsive: bool,
        now: Instant,
    ) -> Result<(), ConsumerFailure> {
        let mut before = std::mem::take(&mut self.behind);
        for PartitionProgress { partition, next, end } in progress {
            if end > next {
                let same = before.remove(&partition).filter(|(stalled_at, _)| *stalled_at == next);
                self.behind.insert(partition, same.unwrap_or((next, now)));
            }
        }
        let has_passed = |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        if self.behind.values().any(|(_, since)| has_passed(*since, self.limits.stalled)) {
            return Err(ConsumerFailure::Stalled);
        }
        if responsive {
            self.responded_at = now;
        } else if self.limits.unresponsive.is_some_and(|limit| has_passed(self.responded_at, limit)) {
            return Err(ConsumerFailure::Unresponsive);
        }
        let (assigned, since) = self.assigned;
        if !assigned && self.limits.unassigned.is_some_and(|limit| has_passed(since, limit)) {
            if responsive {
                return Err(ConsumerFailure::Unassigned);
            }
            self.assigned.1 = now; // the brokers respond to no client
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(next: i64, end: i64) -> [PartitionProgress<i32>; 1] {
        [PartitionProgress { partition: 0, next, end }]
    }

    /// Creates the watchdog of an assigned member, and returns its start.
    fn assigned() -> (Watchdog<i32>, Instant) {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(WatchdogLimits::GROUP, start);
        watchdog.set_assigned(true, start);
        (watchdog, start)
    }

    #[test]
    fn a_position_that_does_not_advance_towards_the_end_is_stalled_after_the_limit() {
        let (mut watchdog, start) = assigned();
        assert!(watchdog.judge(at(5, 8), true, start).is_ok());
        assert!(watchdog.judge(at(5, 9), true, start + STALL_MAX - SECOND).is_ok());
        assert!(matches!(watchdog.judge(at(5, 9), true, start + STALL_MAX), Err(ConsumerFailure::Stalled)));
    }

    #[test]
    fn progress_the_end_of_the_partition_and_backpressure_restart_the_limit() {
        for between in [&at(6, 9)[..], &at(5, 5), &[]] {
            let (mut watchdog, start) = assigned();
            watchdog.judge(at(5, 9), true, start).unwrap();
            watchdog.judge(between.iter().copied(), true, start + STALL_MAX / 2).unwrap();
            assert!(watchdog.judge(at(5, 9), true, start + STALL_MAX + SECOND).is_ok(), "{between:?}");
        }
        let (mut watchdog, start) = assigned();
        watchdog.judge(at(5, 9), true, start).unwrap();
        watchdog.restart_progress();
        assert!(
            watchdog.judge(at(5, 9), true, start + STALL_MAX).is_ok(),
            "the consumer has just started again"
        );
    }

    #[test]
    fn one_stalled_partition_is_detected_while_another_one_advances() {
        let (mut watchdog, start) = assigned();
        let progress = |next| at(5, 9).into_iter().chain([PartitionProgress { partition: 1, next, end: 99 }]);
        watchdog.judge(progress(1), true, start).unwrap();
        assert!(matches!(
            watchdog.judge(progress(2), true, start + STALL_MAX),
            Err(ConsumerFailure::Stalled)
        ));
    }

    #[test]
    fn a_member_without_an_assignment_fails_only_while_the_brokers_respond() {
        let start = Instant::now();
        let mut watchdog = Watchdog::<i32>::new(WatchdogLimits::GROUP, start);
        assert!(watchdog.judge([], true, start + UNASSIGNED_MAX - SECOND).is_ok());
        assert!(watchdog.judge([], false, start + UNASSIGNED_MAX).is_ok(), "a replacement would not help");
        let again = start + UNASSIGNED_MAX + UNASSIGNED_MAX;
        assert!(watchdog.judge([], true, again - SECOND).is_ok(), "the limit begins again");
        assert!(matches!(watchdog.judge([], true, again), Err(ConsumerFailure::Unassigned)));
        watchdog.restart_assignment_timer(again);
        assert!(watchdog.judge([], true, again).is_ok());
        watchdog.set_assigned(true, again);
        assert!(watchdog.judge([], true, again + 9 * UNASSIGNED_MAX).is_ok());
    }

    #[test]
    fn a_client_without_responses_fails_after_the_limit_if_it_observes_itself() {
        let start = Instant::now();
        let mut watchdog = Watchdog::<i32>::new(WatchdogLimits::REQUESTS, start);
        let responded = start + SECOND;
        watchdog.judge([], true, responded).unwrap();
        let failed = responded + STALL_MAX;
        assert!(watchdog.judge([], false, failed - SECOND).is_ok());
        assert!(matches!(watchdog.judge([], false, failed), Err(ConsumerFailure::Unresponsive)));
        watchdog.restart(failed);
        assert!(watchdog.judge([], false, failed + STALL_MAX - SECOND).is_ok());
        let (mut group, start) = assigned();
        assert!(group.judge([], false, start + 99 * SECOND).is_ok(), "other clients get no response either");
    }

    #[test]
    fn checks_are_due_once_per_interval() {
        let start = Instant::now();
        let mut watchdog = Watchdog::<i32>::new(WatchdogLimits::GROUP, start);
        assert!(watchdog.is_due(start));
        assert!(!watchdog.is_due(start + CHECK_INTERVAL / 2));
        assert!(watchdog.is_due(start + CHECK_INTERVAL));
    }
}

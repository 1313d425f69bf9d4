//! Detection of a consumer that no longer works. A consumer cannot detect it itself: one that has lost its brokers
//! permanently and one that has nothing to read receive equally little. So it is judged by what another client
//! observes.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::{CLIENTS_REPLACED, STALL_MAX};

/// The interval of the checks.
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
    /// The consumer receives nothing although there are more records.
    #[error("the consumer is stalled: the log end offset advances but no record is received")]
    Stalled,
    /// The group has not assigned any partitions.
    #[error("the consumer was not assigned any partitions, although the broker is reachable")]
    Unassigned,
}

impl ConsumerFailure {
    /// Counts and logs that the consumer is replaced.
    pub fn report_replacement(&self) {
        CLIENTS_REPLACED.with(["consumer"]).increment(1);
        tracing::warn!(error = %self, "replacing the Kafka consumer");
    }
}

/// The watchdog of one consumer, which has no assignment at first.
#[derive(Debug)]
pub struct Watchdog {
    check_at: Instant,
    /// Since when the log has had records that are not read, as far as the other client knows.
    behind_since: Option<Instant>,
    /// Whether the group has assigned partitions (or none, explicitly), and since when.
    assigned: (bool, Instant),
}

impl Default for Watchdog {
    fn default() -> Self {
        let now = Instant::now();
        Self { check_at: now, behind_since: None, assigned: (false, now) }
    }
}

impl Watchdog {
    /// Records that a record was read, that the end of the log was reached, or that other positions are read.
    pub fn record_progress(&mut self) {
        self.behind_since = None;
    }

    /// Records whether the group has assigned partitions to the consumer.
    pub fn set_assigned(&mut self, is: bool) {
        if self.assigned.0 != is {
            self.assigned = (is, Instant::now());
        }
    }

    /// Restarts the time limit of the assignment, because something other than Kafka delays it.
    pub fn restart_assignment_timer(&mut self) {
        self.assigned.1 = Instant::now();
    }

    /// Returns whether the next [check](Self::judge) is due.
    pub fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.check_at;
        if due {
            self.check_at = now + CHECK_INTERVAL;
        }
        due
    }

    /// Judges the consumer. `behind` is whether the other client knows of records that the consumer should have read
    /// and has not; `responsive` is whether the other client has received a response recently.
    pub fn judge(&mut self, behind: bool, responsive: bool) -> Result<(), ConsumerFailure> {
        let now = Instant::now();
        if !behind {
            self.behind_since = None;
        } else if self.behind_since.get_or_insert(now).elapsed() >= STALL_MAX {
            return Err(ConsumerFailure::Stalled);
        }
        let (assigned, since) = self.assigned;
        if !assigned && since.elapsed() >= UNASSIGNED_MAX {
            if responsive {
                return Err(ConsumerFailure::Unassigned);
            }
            self.assigned.1 = now; // the brokers respond to no client
        }
        Ok(())
    }
}

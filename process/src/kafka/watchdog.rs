//! Whether a consumer still does what it is for. By itself it cannot tell: one that has lost its brokers for
//! good and one that has nothing to read are equally silent. So it is judged by what another client sees.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::{CLIENTS_REPLACED, STALL_MAX};

/// Between two checks.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A member of a group hears of an assignment long before.
const ALONE_MAX: Duration = Duration::from_secs(15);

/// Why a consumer is of no use any more: it is to be replaced by a new one.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerFailure {
    /// The client says so itself.
    #[error("it failed for good: {0}")]
    Fatal(#[from] KafkaError),
    /// It reads nothing.
    #[error("the log goes on, and nothing of it is read")]
    Stalled,
    /// It is no member of its group.
    #[error("Kafka answers, and its group gives it nothing, not even word that there is nothing")]
    Unassigned,
}

impl ConsumerFailure {
    /// The consumer is replaced: counted and said.
    pub fn report_replacement(&self) {
        CLIENTS_REPLACED.with(["consumer"]).increment(1);
        tracing::warn!(error = %self, "the consumer is replaced");
    }
}

/// Watches one consumer, which is no member of its group at first.
#[derive(Debug)]
pub struct Watchdog {
    check_at: Instant,
    /// Since when the log has held what is not read, as far as the other client can tell.
    behind_since: Option<Instant>,
    /// Whether the group has said what is the consumer's, be it nothing; and since when it has or has not.
    member: (bool, Instant),
}

impl Default for Watchdog {
    fn default() -> Self {
        let now = Instant::now();
        Self { check_at: now, behind_since: None, member: (false, now) }
    }
}

impl Watchdog {
    /// Something was read, the end of the log was met, or reading begins elsewhere.
    pub fn record_progress(&mut self) {
        self.behind_since = None;
    }

    /// What the group has said last.
    pub fn set_assigned(&mut self, is: bool) {
        if self.member.0 != is {
            self.member = (is, Instant::now());
        }
    }

    /// That it is no member yet is somebody else's fault.
    pub fn restart_assignment_timer(&mut self) {
        self.member.1 = Instant::now();
    }

    /// Whether it is time to [judge](Self::judge).
    pub fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.check_at;
        if due {
            self.check_at = now + CHECK_EVERY;
        }
        due
    }

    /// `behind`: the other client has seen what the consumer should have read and has not. `answered`: Kafka
    /// has answered the other client lately.
    pub fn judge(&mut self, behind: bool, answered: bool) -> Result<(), ConsumerFailure> {
        let now = Instant::now();
        if !behind {
            self.behind_since = None;
        } else if self.behind_since.get_or_insert(now).elapsed() >= STALL_MAX {
            return Err(ConsumerFailure::Stalled);
        }
        let (member, since) = self.member;
        if !member && since.elapsed() >= ALONE_MAX {
            if answered {
                return Err(ConsumerFailure::Unassigned);
            }
            self.member.1 = now; // nobody is answered
        }
        Ok(())
    }
}

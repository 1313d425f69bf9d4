//! Refuses orders at once while the log or Redis does not respond, instead of letting each wait for a timeout
//! of its own. It ends by itself with the next response.

use std::collections::VecDeque;
use std::time::Duration;

use contract::problem::Code;
use lua::Redis;
use tokio::sync::mpsc;

use crate::order::job::{Job, Outcome};

/// The pause after a probe that failed.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// Which dependency does not respond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// The log does not acknowledge.
    Log,
    /// Redis does not reply.
    Redis,
}

impl Outage {
    fn code(self) -> Code {
        match self {
            Self::Log => Code::LogUnavailable,
            Self::Redis => Code::StockUnavailable,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Log => "log_silent",
            Self::Redis => "redis_silent",
        }
    }

    /// Refuses an order that did not reach the script. A repeat may have been accepted before, which must not
    /// be denied: its outcome is unknown.
    fn refuse(self, job: Job) {
        let code = if job.repeating_since.is_some() { Code::OutcomeUnknown } else { self.code() };
        super::backpressure::SHED.with([self.reason()]).increment(1);
        job.finish(Outcome::Refused(code));
    }

    /// Refuses the waiting orders and all that arrive, until `recovered` completes.
    pub async fn refuse_until<T>(
        self,
        waiting: &mut VecDeque<Job>,
        queue: &mut mpsc::Receiver<Job>,
        recovered: impl Future<Output = T>,
    ) -> T {
        let orders = waiting.len() + queue.len();
        tracing::warn!(outage = ?self, orders, "dependency does not respond, refusing orders until it does");
        waiting.drain(..).for_each(|job| self.refuse(job));
        tokio::pin!(recovered);
        loop {
            tokio::select! {
                biased;
                done = &mut recovered => return done,
                Some(job) = queue.recv() => self.refuse(job),
            }
        }
    }
}

/// Waits until Redis replies, or is disconnected: then each call fails at once by itself.
pub async fn until_redis_replies(redis: &Redis) {
    while redis.is_connected() && redis.ping().await.is_err() {
        tokio::time::sleep(PROBE_PAUSE).await;
    }
}

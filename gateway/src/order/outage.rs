//! While the log or Redis stands still: whoever comes is refused at once, instead of waiting in turn for what
//! does not answer. It ends by itself when there is an answer again.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use contract::problem::Code;
use lua::Redis;
use metrics::counter;
use tokio::sync::mpsc;

use crate::order::reserve::{Job, Outcome};

/// After a probe that was refused, a pause.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// What does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// No acknowledgement.
    Log,
    /// No reply.
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

    /// Refuses an order that was not taken to the script. A repeat may have been accepted before, which must
    /// not be denied.
    fn refuse(self, job: Job) {
        let code = if job.repeating_since.is_some() { Code::OutcomeUnknown } else { self.code() };
        counter!("gateway_shed_total", "reason" => self.reason()).increment(1);
        let _ = job.answer.send(Outcome::Refused(code)); // a client that hung up needs no answer
    }

    /// Refuses who waits and who comes, until `over`.
    pub async fn refuse_until<T>(
        self,
        waiting: &mut VecDeque<Job>,
        queue: &mut mpsc::Receiver<Job>,
        over: impl Future<Output = T>,
    ) -> T {
        tracing::warn!(what = ?self, orders = waiting.len() + queue.len(), "no answer: orders are refused until there is one");
        waiting.drain(..).for_each(|job| self.refuse(job));
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                done = &mut over => return done,
                Some(job) = queue.recv() => self.refuse(job),
            }
        }
    }
}

/// Ends when Redis answers, or is known to be away: then every call is refused at once by itself.
pub async fn until_redis_answers(redis: &Redis) {
    while redis.is_connected() && redis.command::<String>("PING", Vec::<Bytes>::new()).await.is_err() {
        tokio::time::sleep(PROBE_PAUSE).await;
    }
}

//! What is done with one event: the handler's call, and the ways into `<group>.retry` and
//! `<group>.dead-letter`. An event leaves where it was read only when it is done or stands elsewhere.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter};
use process::backoff::Backoff;
use process::kafka::{Acknowledged, Producer};
use process::walltime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::envelope::Envelope;
use super::order_scheduler::{Deferral, Job, Origin};
use super::{Failure, Group, GroupSettings, Handler, TRIES};
use crate::host::Host;

/// A handler that takes longer has failed.
pub const HANDLE_MAX: Duration = Duration::from_secs(60);
/// Longest pause while something that we cannot work without is away.
const UNAVAILABLE_PAUSE_MAX: Duration = Duration::from_secs(2);

/// What the lanes of a group share.
pub struct Dispatcher<H> {
    handler: Arc<H>,
    producer: Producer,
    settings: GroupSettings,
    retry_topic: String,
    dead_letter_topic: String,
    retries: Counter,
    dead_letters: Counter,
}

/// How a step ended.
pub enum DispatchOutcome {
    /// The handler is done with it.
    Handled(Job),
    /// It failed, and there are tries left.
    Failed(Job),
    /// Events are in the retry topic.
    Deferred {
        /// The order.
        key: String,
        /// What is done where it was read.
        done: Vec<Origin>,
        /// The offset of the last one.
        last: Option<i64>,
    },
    /// It is a dead letter.
    DeadLettered {
        /// The order, if it is known.
        key: Option<String>,
        /// What is done where it was read.
        done: Origin,
    },
    /// The process ends: it is to be read again.
    Interrupted,
}

impl<H: Handler> Dispatcher<H> {
    /// For a group.
    pub fn new(host: &Host, group: Group, settings: &GroupSettings, handler: H, producer: Producer) -> Self {
        Self {
            handler: Arc::new(handler),
            producer,
            settings: settings.clone(),
            retry_topic: host.services.topic(group.retry.name),
            dead_letter_topic: host.services.topic(group.dead_letters.name),
            retries: counter!("consumer_retries_total", "group" => group.name),
            dead_letters: counter!("consumer_dead_letters_total", "group" => group.name),
        }
    }

    /// Orders that may be worked on at once in a partition.
    pub fn concurrency(&self) -> usize {
        usize::from(self.settings.group_concurrency)
    }

    /// Has an event handled.
    pub async fn handle(
        self: Arc<Self>,
        partition: i32,
        mut job: Job,
        stop: CancellationToken,
    ) -> DispatchOutcome {
        let mut backoff = Backoff::up_to(UNAVAILABLE_PAUSE_MAX);
        let failure = loop {
            match self.call(&job).await {
                Ok(()) => return DispatchOutcome::Handled(job),
                Err(Failure::Unavailable(why)) => {
                    if backoff.should_log() {
                        tracing::warn!(event = job.delivered.id, why, "an event waits");
                    }
                    if !backoff.pause(&stop).await {
                        return DispatchOutcome::Interrupted;
                    }
                }
                Err(failure) => break failure,
            }
        };
        let tries = job.envelope.attempts + 1;
        let again_at = walltime::now().0 + self.settings.pause_after(tries).as_millis() as u64;
        job.envelope.failed(&failure.to_string(), contract::timestamp::Timestamp(again_at));
        let (order, event) = (job.key(), &job.delivered.id);
        if matches!(failure, Failure::Poison(_)) || tries >= TRIES {
            tracing::error!(order, event, tries, why = %failure, "an event becomes a dead letter");
            let (key, origin) = (Some(job.key().to_string()), job.origin);
            return self.bury(partition, key, origin, job.envelope, stop).await;
        }
        tracing::warn!(order, event, tries, why = %failure, "an event failed and is tried again later");
        self.retries.increment(1);
        DispatchOutcome::Failed(job)
    }

    /// A panic of the handler is a failure of this event alone.
    async fn call(&self, job: &Job) -> Result<(), Failure> {
        let (handler, delivered) = (self.handler.clone(), job.delivered.clone());
        let call = AbortOnDropHandle::new(tokio::spawn(async move { handler.handle(&delivered).await }));
        match tokio::time::timeout(HANDLE_MAX, call).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(Failure::Retriable(format!("the handler failed: {panic}"))),
            Err(_) => Err(Failure::Retriable(format!("not handled within {} s", HANDLE_MAX.as_secs()))),
        }
    }

    /// Puts events of an order into the retry topic, one behind the other.
    pub async fn defer(
        self: Arc<Self>,
        partition: i32,
        deferral: Deferral,
        stop: CancellationToken,
    ) -> DispatchOutcome {
        let Deferral { key, jobs, duplicates } = deferral;
        let (mut done, mut last) = (duplicates, None);
        for mut job in jobs {
            if job.envelope.attempts == 0 {
                job.envelope.reason = "waits behind an earlier event of its order".into();
            }
            match put(&self.producer, &self.retry_topic, partition, &job.envelope, &stop).await {
                Some(acknowledged) => last = Some(acknowledged.offset),
                None => return DispatchOutcome::Interrupted,
            }
            done.push(job.origin);
        }
        DispatchOutcome::Deferred { key, done, last }
    }

    /// Puts an event into the dead-letter topic.
    pub async fn bury(
        self: Arc<Self>,
        partition: i32,
        key: Option<String>,
        done: Origin,
        envelope: Envelope,
        stop: CancellationToken,
    ) -> DispatchOutcome {
        match put(&self.producer, &self.dead_letter_topic, partition, &envelope, &stop).await {
            Some(_) => {
                self.dead_letters.increment(1);
                DispatchOutcome::DeadLettered { key, done }
            }
            None => DispatchOutcome::Interrupted,
        }
    }
}

/// Produces until it is acknowledged; what was lost without a word is produced twice. `None`: the process
/// ends before.
pub async fn put(
    producer: &Producer,
    topic: &str,
    partition: i32,
    envelope: &Envelope,
    stop: &CancellationToken,
) -> Option<Acknowledged> {
    let mut backoff = Backoff::default();
    let headers = envelope.all_headers();
    loop {
        let sent = async {
            match producer.send(&envelope.message(topic, partition, &headers)) {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            }
        };
        match sent.await {
            Ok(acknowledged) => return Some(acknowledged),
            Err(error) if backoff.should_log() => tracing::warn!(topic, %error, "cannot produce"),
            Err(_) => {}
        }
        if !backoff.pause(stop).await {
            return None;
        }
    }
}

//! Dispatches one event: calls the handler, or publishes the event to `<group>.retry` or `<group>.dead-letter`.
//! A record is done in the topic where it was read only when its event is handled or another topic holds it.

use std::sync::Arc;
use std::time::Duration;

use contract::timestamp::Timestamp;
use metrics::Counter;
use process::backoff::Backoff;
use process::kafka::{Acknowledged, Producer};
use process::walltime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::envelope::Envelope;
use super::order_scheduler::{Deferral, Job, Origin};
use super::{Failure, Group, GroupSettings, Handler, TRIES};
use crate::host::Host;

process::metrics! {
    static RETRIES: Counter["group"] = "consumer_retries_total", "Events that failed and were scheduled for a retry.";
    pub static DEAD_LETTERS: Counter["group"] = "consumer_dead_letters_total",
        "Events that the group moved to its dead-letter topic.";
}

/// The time limit of a handler call. A call that takes longer has failed.
pub const HANDLE_MAX: Duration = Duration::from_secs(60);
/// The longest pause between two calls while a dependency of the handler is unavailable.
const UNAVAILABLE_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Handles and publishes events. The partition workers of a group share one dispatcher.
pub struct Dispatcher<H> {
    handler: Arc<H>,
    producer: Producer,
    settings: GroupSettings,
    retry_topic: String,
    dead_letter_topic: String,
    retries: Counter,
    dead_letters: Counter,
}

/// The outcome of one task of a partition worker.
pub enum DispatchOutcome {
    /// The handler has handled the event.
    Handled(Job),
    /// The handler has failed, and tries are left.
    Failed(Job),
    /// The retry topic holds the events of a deferral.
    Deferred {
        /// The order's id.
        key: String,
        /// The records that are done where they were read.
        done: Vec<Origin>,
        /// The offset of the last record that was published to the retry topic.
        last: Option<i64>,
    },
    /// The dead-letter topic holds the event.
    DeadLettered {
        /// The order's id, if the record could be decoded.
        key: Option<String>,
        /// The record that is done where it was read.
        done: Origin,
    },
    /// The process stops first. The record is read again after a restart.
    Interrupted,
}

impl<H: Handler> Dispatcher<H> {
    /// Creates the dispatcher of a group.
    pub fn new(host: &Host, group: Group, settings: &GroupSettings, handler: H, producer: Producer) -> Self {
        Self {
            handler: Arc::new(handler),
            producer,
            settings: settings.clone(),
            retry_topic: host.services.topic(group.retry.name),
            dead_letter_topic: host.services.topic(group.dead_letters.name),
            retries: RETRIES.with([group.name]),
            dead_letters: DEAD_LETTERS.with([group.name]),
        }
    }

    /// Returns the number of orders of a partition that are processed concurrently.
    pub fn concurrency(&self) -> usize {
        usize::from(self.settings.group_concurrency)
    }

    /// Calls the handler until it succeeds or fails. An event that cannot be retried is dead-lettered.
    pub async fn handle(
        self: Arc<Self>,
        partition: i32,
        mut job: Job,
        stop: CancellationToken,
    ) -> DispatchOutcome {
        let mut backoff = Backoff::up_to(UNAVAILABLE_PAUSE_MAX);
        let failure = loop {
            match self.call_handler(&job).await {
                Ok(()) => return DispatchOutcome::Handled(job),
                Err(Failure::Unavailable(why)) => {
                    if backoff.should_log() {
                        tracing::warn!(event = job.event.id, why, "event waits for a dependency");
                    }
                    if !backoff.pause(&stop).await {
                        return DispatchOutcome::Interrupted;
                    }
                }
                Err(failure) => break failure,
            }
        };
        let tries = job.envelope.attempts + 1;
        let retry_at = walltime::now().0 + self.settings.pause_after(tries).as_millis() as u64;
        job.envelope.record_failure(&failure.to_string(), Timestamp(retry_at));
        let (order, event) = (job.key(), &job.event.id);
        if matches!(failure, Failure::Poison(_)) || tries >= TRIES {
            tracing::error!(order, event, tries, why = %failure, "dead-lettering a failed event");
            let (key, origin) = (Some(job.key().to_string()), job.origin);
            return self.dead_letter(partition, key, origin, job.envelope, stop).await;
        }
        tracing::warn!(order, event, tries, why = %failure, "event failed and will be retried");
        self.retries.increment(1);
        DispatchOutcome::Failed(job)
    }

    /// Calls the handler once. A panic of the handler is a failure of this event alone.
    async fn call_handler(&self, job: &Job) -> Result<(), Failure> {
        let (handler, event) = (self.handler.clone(), job.event.clone());
        let call = AbortOnDropHandle::new(tokio::spawn(async move { handler.handle(&event).await }));
        match tokio::time::timeout(HANDLE_MAX, call).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(Failure::Retriable(format!("the handler failed: {panic}"))),
            Err(_) => Err(Failure::Retriable(format!("not handled within {} s", HANDLE_MAX.as_secs()))),
        }
    }

    /// Publishes events of an order to the retry topic, one after another.
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
            match publish(&self.producer, &self.retry_topic, partition, &job.envelope, &stop).await {
                Some(acknowledged) => last = Some(acknowledged.offset),
                None => return DispatchOutcome::Interrupted,
            }
            done.push(job.origin);
        }
        DispatchOutcome::Deferred { key, done, last }
    }

    /// Publishes an event to the dead-letter topic.
    pub async fn dead_letter(
        self: Arc<Self>,
        partition: i32,
        key: Option<String>,
        done: Origin,
        envelope: Envelope,
        stop: CancellationToken,
    ) -> DispatchOutcome {
        match publish(&self.producer, &self.dead_letter_topic, partition, &envelope, &stop).await {
            Some(_) => {
                self.dead_letters.increment(1);
                DispatchOutcome::DeadLettered { key, done }
            }
            None => DispatchOutcome::Interrupted,
        }
    }
}

/// Publishes a record and retries until the broker acknowledges it. A record whose acknowledgement is lost is
/// published twice. Returns `None` if the process stops first.
pub async fn publish(
    producer: &Producer,
    topic: &str,
    partition: i32,
    envelope: &Envelope,
    stop: &CancellationToken,
) -> Option<Acknowledged> {
    let mut backoff = Backoff::default();
    let headers = envelope.encode_headers();
    loop {
        let sent = async {
            match producer.send(&envelope.to_message(topic, partition, &headers)) {
                Ok(acknowledgement) => acknowledgement.await,
                Err(error) => Err(error),
            }
        };
        match sent.await {
            Ok(acknowledged) => return Some(acknowledged),
            Err(error) if backoff.should_log() => {
                tracing::warn!(topic, %error, "cannot publish to the topic");
            }
            Err(_) => {}
        }
        if !backoff.pause(stop).await {
            return None;
        }
    }
}

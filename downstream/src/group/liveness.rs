//! The watch over a group's consumer: when it has read nothing for a while, a client that is made for it asks
//! Kafka how far the partitions go. So a consumer that has lost its brokers for good is found out and
//! replaced, and one that has nothing to read, or that nobody answers, is left alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use process::kafka::{ConsumerFailure, LogContext, STALL_MAX, Watchdog};
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::host::Host;

/// A partition of a topic.
pub type TopicPartition = (String, i32);
type Ends = BTreeMap<TopicPartition, i64>;

/// Between two questions, and how long nothing was read before the first.
const ASK_EVERY: Duration = STALL_MAX;
/// One answer of the brokers.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Watches one consumer.
pub struct LivenessCheck {
    watchdog: Watchdog,
    config: ClientConfig,
    /// Asked for where nothing is assigned.
    topic: String,
    runtime: Handle,
    quiet_since: Instant,
    asked_at: Option<Instant>,
    question: Option<oneshot::Receiver<Ends>>,
    answered_at: Option<Instant>,
    ends: Ends,
}

impl LivenessCheck {
    /// Over a consumer of this topic that has not joined yet.
    pub fn new(host: &Host, topic: &str, runtime: &Handle) -> Self {
        let mut config = process::kafka::client(&host.services.kafka_brokers, "watch");
        config.set("group.id", "none"); // never joined
        Self {
            watchdog: Watchdog::default(),
            config,
            topic: topic.into(),
            runtime: runtime.clone(),
            quiet_since: Instant::now(),
            asked_at: None,
            question: None,
            answered_at: None,
            ends: Ends::new(),
        }
    }

    /// Something was read, or reading begins elsewhere.
    pub fn record_progress(&mut self) {
        self.quiet_since = Instant::now();
        self.watchdog.record_progress();
    }

    /// What the group gave could not be begun, and Kafka is not to blame.
    pub fn restart_assignment_timer(&mut self) {
        self.watchdog.restart_assignment_timer();
    }

    /// Whether the consumer is still of use. `begun`: what the group gave is being read; `next`: the offset
    /// that comes next in each partition that it should read now.
    pub fn check(&mut self, begun: bool, next: impl FnOnce() -> Ends) -> Result<(), ConsumerFailure> {
        self.watchdog.set_assigned(begun);
        if !self.watchdog.is_due() {
            return Ok(());
        }
        let next = if begun { next() } else { Ends::new() };
        self.listen();
        if self.quiet_since.elapsed() >= ASK_EVERY && self.asked_at.is_none_or(|at| at.elapsed() >= ASK_EVERY)
        {
            self.ask(next.keys().cloned().collect());
        }
        let behind = next.iter().any(|(place, next)| self.ends.get(place).is_some_and(|end| end > next));
        let answered = self.answered_at.is_some_and(|at| at.elapsed() < 2 * ASK_EVERY);
        self.watchdog.judge(behind, answered)
    }

    fn ask(&mut self, places: Vec<TopicPartition>) {
        self.asked_at = Some(Instant::now());
        let (tell, question) = oneshot::channel();
        self.question = Some(question);
        let (config, topic) = (self.config.clone(), self.topic.clone());
        self.runtime.spawn_blocking(move || match ends(&config, &topic, places) {
            Ok(ends) => drop(tell.send(ends)), // the consumer may be gone
            Err(error) => tracing::debug!(%error, "Kafka does not answer the watch"),
        });
    }

    fn listen(&mut self) {
        let Some(question) = &mut self.question else { return };
        match question.try_recv() {
            Ok(ends) => {
                self.ends = ends;
                self.answered_at = Some(Instant::now());
                self.question = None;
            }
            Err(oneshot::error::TryRecvError::Empty) => {}
            Err(oneshot::error::TryRecvError::Closed) => self.question = None,
        }
    }
}

/// Ends with the first thing that is not answered.
fn ends(config: &ClientConfig, topic: &str, places: Vec<TopicPartition>) -> Result<Ends, KafkaError> {
    let client = BaseConsumer::<LogContext>::from_config_and_context(config, LogContext)?;
    client.fetch_metadata(Some(topic), ANSWER_MAX)?;
    places
        .into_iter()
        .map(|place| {
            let (_, end) = client.fetch_watermarks(&place.0, place.1, ANSWER_MAX)?;
            Ok((place, end))
        })
        .collect()
}

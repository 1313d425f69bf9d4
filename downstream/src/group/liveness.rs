//! The liveness check of a group's consumer. Periodically, a client that is created for this purpose queries the end
//! offsets of the partitions. A consumer that does not advance in one of them, or that has lost its brokers
//! permanently, is detected and replaced. One that has nothing to read, or whose brokers respond to no client, is kept.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use process::kafka::{ConsumerFailure, LogContext, PartitionProgress, STALL_MAX, Watchdog, WatchdogLimits};
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::host::Host;

/// The name of a topic and a partition of it.
pub type TopicPartition = (String, i32);
type EndOffsets = BTreeMap<TopicPartition, i64>;

/// The interval between two queries, and the time before the first one.
const QUERY_EVERY: Duration = STALL_MAX;
/// The time limit of one response of the brokers.
const RESPONSE_MAX: Duration = Duration::from_secs(2);

/// Checks one consumer.
pub struct LivenessCheck {
    watchdog: Watchdog<TopicPartition>,
    config: ClientConfig,
    /// The topic whose metadata is requested, also when no partition is assigned.
    topic: String,
    runtime: Handle,
    queried_at: Instant,
    query: Option<oneshot::Receiver<EndOffsets>>,
    response_at: Option<Instant>,
    ends: EndOffsets,
}

impl LivenessCheck {
    /// Creates the check of a consumer of this topic that has not joined its group yet.
    pub fn new(host: &Host, topic: &str, runtime: &Handle) -> Self {
        let mut config = process::kafka::client(&host.services.kafka_brokers, "watch");
        config.set("group.id", "none"); // the client never joins it
        Self {
            watchdog: Watchdog::new(WatchdogLimits::GROUP, Instant::now()),
            config,
            topic: topic.into(),
            runtime: runtime.clone(),
            queried_at: Instant::now(),
            query: None,
            response_at: None,
            ends: EndOffsets::new(),
        }
    }

    /// Records that the consumer reads from other positions now.
    pub fn restart_progress(&mut self) {
        self.watchdog.restart_progress();
    }

    /// Records that the assignment could not be started for a reason other than Kafka.
    pub fn restart_assignment_timer(&mut self) {
        self.watchdog.restart_assignment_timer(Instant::now());
    }

    /// Returns an error if the consumer must be replaced. `working` says whether the assignment is started; `next`
    /// returns the next offset of each partition that the consumer should read now.
    pub fn check(&mut self, working: bool, next: impl FnOnce() -> EndOffsets) -> Result<(), ConsumerFailure> {
        let now = Instant::now();
        self.watchdog.set_assigned(working, now);
        if !self.watchdog.is_due(now) {
            return Ok(());
        }
        let next = if working { next() } else { EndOffsets::new() };
        self.receive_response();
        if self.queried_at.elapsed() >= QUERY_EVERY {
            self.query_ends(next.keys().cloned().collect());
        }
        let responsive = self.response_at.is_some_and(|at| at.elapsed() < 2 * QUERY_EVERY);
        let progress = next.into_iter().filter_map(|(partition, next)| {
            let end = *self.ends.get(&partition)?;
            Some(PartitionProgress { partition, next, end })
        });
        self.watchdog.judge(progress, responsive, now)
    }

    fn query_ends(&mut self, partitions: Vec<TopicPartition>) {
        self.queried_at = Instant::now();
        let (sender, query) = oneshot::channel();
        self.query = Some(query);
        let (config, topic) = (self.config.clone(), self.topic.clone());
        self.runtime.spawn_blocking(move || match fetch_ends(&config, &topic, partitions) {
            Ok(ends) => drop(sender.send(ends)), // the consumer may be gone
            Err(error) => tracing::debug!(%error, "Kafka does not respond to the liveness check"),
        });
    }

    fn receive_response(&mut self) {
        let Some(query) = &mut self.query else { return };
        match query.try_recv() {
            Ok(ends) => {
                self.ends = ends;
                self.response_at = Some(Instant::now());
                self.query = None;
            }
            Err(oneshot::error::TryRecvError::Empty) => {}
            Err(oneshot::error::TryRecvError::Closed) => self.query = None,
        }
    }
}

/// Fetches the end offsets. The first request without a response ends it.
fn fetch_ends(
    config: &ClientConfig,
    topic: &str,
    partitions: Vec<TopicPartition>,
) -> Result<EndOffsets, KafkaError> {
    let client = BaseConsumer::<LogContext>::from_config_and_context(config, LogContext)?;
    client.fetch_metadata(Some(topic), RESPONSE_MAX)?;
    partitions
        .into_iter()
        .map(|partition| {
            let (_, end) = client.fetch_watermarks(&partition.0, partition.1, RESPONSE_MAX)?;
            Ok((partition, end))
        })
        .collect()
}

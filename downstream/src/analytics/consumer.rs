//! The consumer of analytics, on a thread of its own: collects a batch, stores its increments, and collects the next
//! one. Postgres stores the position together with the aggregates; the offsets that Kafka gets are informational.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use metrics::Counter;
use parking_lot::Mutex;
use process::backoff::Backoff;
use process::kafka::{CLIENTS_REPLACED, ConsumerFailure, Producer};
use process::postgres::DatabaseError;
use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::{Batch, StoreError, read_positions, store};
use super::{AnalyticsSettings, GROUP};
use crate::group::ReceivedEvent;
use crate::group::consumer::{self, TIMEOUT};
use crate::group::dispatch::publish;
use crate::group::envelope::Envelope;
use crate::group::liveness::{LivenessCheck, TopicPartition};
use crate::group::membership::{AssignedWork, GroupTopics, Membership};
use crate::group::partition_worker::SharedPositions;
use crate::host::Host;

/// The name, as a dependency in health checks, of the ability to store aggregates.
const COUNTING: &str = "counting";
/// The time limit of the first poll in a round.
const POLL: Duration = Duration::from_millis(20);
/// The time limit of a round, so that the other duties have their turn.
const ROUND_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Consumes until the host stops, then leaves the group. Blocks the calling thread.
pub fn consume(
    host: &Host,
    settings: &AnalyticsSettings,
    pool: &Pool,
    producer: &Producer,
    runtime: &Handle,
) {
    host.health.declare(consumer::GROUP, true);
    host.health.declare("kafka", true);
    host.health.declare(COUNTING, true);
    host.health.mark_up(COUNTING);
    let mut backoff = Backoff::default();
    while !host.stop.is_cancelled() {
        let joined = consumer::join(host, GROUP, runtime);
        let ended = joined.map_err(ConsumerFailure::from).and_then(|(consumer, topics)| {
            let mut analytics = AnalyticsConsumer {
                consumer,
                liveness: LivenessCheck::new(host, &topics.source, runtime),
                topics,
                host,
                settings,
                pool,
                producer,
                runtime,
                next: BTreeMap::new(),
                stored: SharedPositions::default(),
                batch: Batch::default(),
                batch_since: None,
                start_backoff: Backoff::default(),
                store_backoff: Backoff::default(),
                dead_letters: crate::group::dispatch::DEAD_LETTERS.with([GROUP.name]),
            };
            let ended = analytics.run();
            analytics.consumer.context().finish_work(&analytics.consumer);
            ended
        });
        if let Err(failure) = ended {
            failure.report_replacement(&CLIENTS_REPLACED.with(["consumer"]));
            host.health.mark_down(consumer::GROUP, failure.to_string());
        }
        if !host.stop.is_cancelled() {
            #[expect(clippy::disallowed_methods, reason = "this thread runs no tasks")]
            std::thread::sleep(backoff.advance());
        }
    }
}

struct AnalyticsConsumer<'a> {
    consumer: BaseConsumer<Membership>,
    liveness: LivenessCheck,
    topics: GroupTopics,
    host: &'a Host,
    settings: &'a AnalyticsSettings,
    pool: &'a Pool,
    producer: &'a Producer,
    runtime: &'a Handle,
    /// The offset of the next record of each assigned partition, behind the batch.
    next: BTreeMap<TopicPartition, i64>,
    /// The positions up to which everything is stored, for the group and the lag.
    stored: SharedPositions,
    batch: Batch,
    batch_since: Option<Instant>,
    start_backoff: Backoff,
    store_backoff: Backoff,
    dead_letters: Counter,
}

impl AnalyticsConsumer<'_> {
    fn run(&mut self) -> Result<(), ConsumerFailure> {
        while !self.host.stop.is_cancelled() {
            self.collect()?;
            self.liveness.check(self.consumer.context().is_working(), || self.next.clone())?;
            if let Some(partitions) = self.consumer.context().take_assigned() {
                self.start_assigned(partitions);
            }
            let is_full = self.batch.events.len() >= self.settings.batch_events_max as usize;
            let wait = Duration::from_millis(self.settings.batch_wait_ms);
            if is_full || self.batch_since.is_some_and(|since| since.elapsed() >= wait) {
                self.store_batch();
            }
        }
        Ok(())
    }

    fn start_assigned(&mut self, partitions: Vec<i32>) {
        match self.start_partitions(&partitions) {
            Ok(()) => {
                tracing::info!(?partitions, "consuming assigned partitions");
                self.host.health.mark_up(consumer::GROUP);
                self.start_backoff.reset();
            }
            Err(error) => {
                if self.start_backoff.should_log() {
                    tracing::warn!(%error, "cannot start the assigned partitions yet");
                }
                if matches!(error, StartError::Database(_)) {
                    self.liveness.restart_assignment_timer();
                }
                self.host.health.mark_down(consumer::GROUP, error.to_string());
                self.consumer.context().restore_assigned(partitions);
                #[expect(clippy::disallowed_methods, reason = "this thread runs no tasks")]
                std::thread::sleep(self.start_backoff.advance());
            }
        }
    }

    fn store_batch(&mut self) {
        match self.runtime.block_on(store(self.pool, &self.batch)) {
            Ok(()) => {
                self.publish_positions();
                self.host.health.mark_up(COUNTING);
                self.store_backoff.reset();
            }
            Err(error) => {
                if self.store_backoff.should_log() {
                    tracing::warn!(%error, "cannot store a batch of events, retrying");
                }
                // After an ambiguous commit, only Postgres knows the position: everything is read again from there.
                let partitions = self.source_partitions();
                self.drop_batch();
                if !partitions.is_empty() {
                    self.consumer.context().restore_assigned(partitions);
                }
                if !matches!(error, StoreError::Fenced) {
                    self.host.health.mark_down(COUNTING, error.to_string());
                    #[expect(clippy::disallowed_methods, reason = "this thread runs no tasks")]
                    std::thread::sleep(self.store_backoff.advance());
                }
            }
        }
    }

    fn source_partitions(&self) -> Vec<i32> {
        let source = self.next.keys().filter(|(topic, _)| *topic == self.topics.source);
        source.map(|(_, partition)| *partition).collect()
    }

    fn drop_batch(&mut self) {
        self.batch = Batch::default();
        self.batch_since = None;
    }

    /// Polls until the batch is full or no record is available.
    fn collect(&mut self) -> Result<(), KafkaError> {
        let mut timeout = POLL;
        while self.batch.events.len() < self.settings.batch_events_max as usize {
            match self.consumer.poll(timeout) {
                None => return Ok(()),
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let key = (message.topic().to_string(), partition);
                    let Some(next) = self.next.get_mut(&key) else { continue };
                    if offset < *next {
                        continue;
                    }
                    let envelope = Envelope::from_record(&message);
                    let first = *next;
                    *next = offset + 1;
                    self.batch.ranges.entry(key).or_insert((first, 0)).1 = offset + 1;
                    self.batch_since.get_or_insert_with(Instant::now);
                    drop(message);
                    self.add(partition, envelope);
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                Some(Err(error)) => tracing::debug!(%error, "consumer reported an error"),
            }
            timeout = Duration::ZERO;
            if self.batch_since.is_some_and(|since| since.elapsed() > ROUND_MAX) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn add(&mut self, partition: i32, mut envelope: Envelope) {
        match ReceivedEvent::decode(&envelope) {
            Ok(received) => self.batch.events.push(received.event),
            Err(error) => {
                envelope.reason = error.to_string();
                tracing::error!(
                    source = envelope.source,
                    why = envelope.reason,
                    "dead-lettering an undecodable record"
                );
                let topic = self.host.services.topic(GROUP.dead_letters.name);
                let stop = &self.host.stop;
                let published = publish(self.producer, &topic, partition, &envelope, stop);
                if self.runtime.block_on(published).is_some() {
                    self.dead_letters.increment(1);
                } else {
                    self.drop_batch(); // the process stops, and the record is read again after a restart
                }
            }
        }
    }

    /// Starts partitions from the positions in Postgres.
    fn start_partitions(&mut self, partitions: &[i32]) -> Result<(), StartError> {
        self.drop_batch();
        self.next.clear();
        self.liveness.restart_progress();
        let mut first = BTreeMap::new();
        for retry in [false, true] {
            for partition in partitions {
                let topic = self.topics.name(retry).to_string();
                let (low, _) = self.consumer.fetch_watermarks(&topic, *partition, TIMEOUT)?;
                first.insert((topic, *partition), low);
            }
        }
        let next = match first.is_empty() {
            true => BTreeMap::new(),
            false => self.runtime.block_on(read_positions(self.pool, &first))?,
        };
        let stored: BTreeMap<(bool, i32), i64> = next
            .iter()
            .map(|((topic, partition), offset)| ((*topic == self.topics.retry, *partition), *offset))
            .collect();
        self.consumer.assign(&self.topics.list(&stored)?)?;
        self.stored = Arc::new(Mutex::new(stored));
        self.consumer.context().set_work(AssignedWork {
            positions: self.stored.clone(),
            tasks: TaskTracker::new(),
            aborts: vec![],
            stop: CancellationToken::new(),
        });
        self.next = next;
        Ok(())
    }

    /// Publishes the positions behind a stored batch, and commits them to Kafka for information.
    fn publish_positions(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.batch_since = None;
        let mut list = TopicPartitionList::new();
        let mut stored = self.stored.lock();
        for ((topic, partition), (_, next)) in batch.ranges {
            stored.insert((topic == self.topics.retry, partition), next);
            let _ = list.add_partition_offset(&topic, partition, rdkafka::Offset::Offset(next));
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "cannot commit the positions");
        }
    }
}

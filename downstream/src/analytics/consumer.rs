//! The consumer of analytics, on a thread of its own: gathers a batch, has it counted, and begins the next.
//! Where to go on is written in Postgres, with the counts; Kafka is told for information.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use metrics::{Counter, counter};
use process::backoff::Backoff;
use process::kafka::{ConsumerFailure, Producer};
use process::postgres::DatabaseError;
use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::{Batch, StoreError, positions, store};
use super::{AnalyticsSettings, GROUP};
use crate::group::consumer::{self, TIMEOUT};
use crate::group::dispatch::put;
use crate::group::liveness::{LivenessCheck, TopicPartition};
use crate::group::membership::{AssignedWork, GroupTopics, Membership};
use crate::group::partition_worker::SharedPositions;
use crate::group::{ReceivedEvent, envelope::Envelope};
use crate::host::Host;

/// That what is read can be counted, as a dependency.
const COUNTING: &str = "counting";
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Consumes until the host stops, then leaves the group. Blocks its thread.
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
            let mut counter = AnalyticsConsumer {
                consumer,
                watch: LivenessCheck::new(host, &topics.source, runtime),
                topics,
                host,
                settings,
                pool,
                producer,
                runtime,
                next: BTreeMap::new(),
                told: SharedPositions::default(),
                batch: Batch::default(),
                since: None,
                dead_letters: counter!("consumer_dead_letters_total", "group" => GROUP.name),
            };
            let ended = counter.run();
            counter.consumer.context().end(&counter.consumer);
            ended
        });
        if let Err(failure) = ended {
            failure.report_replacement();
            host.health.mark_down(consumer::GROUP, failure.to_string());
        }
        if !host.stop.is_cancelled() {
            std::thread::sleep(backoff.advance());
        }
    }
}

struct AnalyticsConsumer<'a> {
    consumer: BaseConsumer<Membership>,
    watch: LivenessCheck,
    topics: GroupTopics,
    host: &'a Host,
    settings: &'a AnalyticsSettings,
    pool: &'a Pool,
    producer: &'a Producer,
    runtime: &'a Handle,
    /// The next offset of each partition that is ours, behind what is gathered.
    next: BTreeMap<TopicPartition, i64>,
    /// Up to where everything is counted, for the group and the lag.
    told: SharedPositions,
    batch: Batch,
    since: Option<Instant>,
    dead_letters: Counter,
}

impl AnalyticsConsumer<'_> {
    fn run(&mut self) -> Result<(), ConsumerFailure> {
        let (mut backoff, mut failing) = (Backoff::default(), Backoff::default());
        while !self.host.stop.is_cancelled() {
            self.gather()?;
            self.watch.check(self.consumer.context().has_begun(), || self.next.clone())?;
            if let Some(partitions) = self.consumer.context().take_assigned() {
                match self.begin(&partitions) {
                    Ok(()) => {
                        tracing::info!(?partitions, "counting");
                        self.host.health.mark_up(consumer::GROUP);
                        backoff.reset();
                    }
                    Err(error) => {
                        if backoff.should_log() {
                            tracing::warn!(%error, "cannot take partitions over yet");
                        }
                        if matches!(error, Error::Database(_)) {
                            self.watch.restart_assignment_timer();
                        }
                        self.host.health.mark_down(consumer::GROUP, error.to_string());
                        self.consumer.context().put_back(partitions);
                        std::thread::sleep(backoff.advance());
                    }
                }
            }
            let full = self.batch.events.len() >= self.settings.batch_events_max as usize;
            let wait = Duration::from_millis(self.settings.batch_wait_ms);
            if !full && self.since.is_none_or(|since| since.elapsed() < wait) {
                continue;
            }
            match self.runtime.block_on(store(self.pool, &self.batch)) {
                Ok(()) => {
                    self.counted();
                    self.host.health.mark_up(COUNTING);
                    failing.reset();
                }
                Err(error) => {
                    if failing.should_log() {
                        tracing::warn!(%error, "events are not counted, trying again");
                    }
                    // After an ambiguous commit only Postgres knows: everything is read anew from there.
                    let mine = self.partitions();
                    self.drop_batch();
                    if !mine.is_empty() {
                        self.consumer.context().put_back(mine);
                    }
                    if !matches!(error, StoreError::Fenced) {
                        self.host.health.mark_down(COUNTING, error.to_string());
                        std::thread::sleep(failing.advance());
                    }
                }
            }
        }
        Ok(())
    }

    fn partitions(&self) -> Vec<i32> {
        let of_source = self.next.keys().filter(|(topic, _)| *topic == self.topics.source);
        of_source.map(|(_, partition)| *partition).collect()
    }

    fn drop_batch(&mut self) {
        self.batch = Batch::default();
        self.since = None;
    }

    /// Reads until the batch is full or nothing is there.
    fn gather(&mut self) -> Result<(), KafkaError> {
        let mut patience = POLL;
        while self.batch.events.len() < self.settings.batch_events_max as usize {
            match self.consumer.poll(patience) {
                None => return Ok(()),
                Some(Ok(message)) => {
                    self.watch.record_progress();
                    let place = (message.topic().to_string(), message.partition());
                    let Some(next) = self.next.get_mut(&place) else { continue };
                    if message.offset() < *next {
                        continue;
                    }
                    let envelope = Envelope::read(&message);
                    let before = *next;
                    *next = message.offset() + 1;
                    self.batch.places.entry(place).or_insert((before, 0)).1 = message.offset() + 1;
                    self.since.get_or_insert_with(Instant::now);
                    let partition = message.partition();
                    drop(message);
                    self.take(partition, envelope);
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                Some(Err(error)) => tracing::debug!(%error, "consumer"),
            }
            patience = Duration::ZERO;
            if self.since.is_some_and(|since| since.elapsed() > Duration::from_secs(1)) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take(&mut self, partition: i32, mut envelope: Envelope) {
        match ReceivedEvent::decode(&envelope) {
            Ok(delivered) => self.batch.events.push(delivered.event),
            Err(error) => {
                envelope.reason = error.to_string();
                tracing::error!(source = envelope.source, why = envelope.reason, "a record is no event");
                let topic = self.host.services.topic(GROUP.dead_letters.name);
                let stop = &self.host.stop;
                let put = put(self.producer, &topic, partition, &envelope, stop);
                if self.runtime.block_on(put).is_some() {
                    self.dead_letters.increment(1);
                } else {
                    self.drop_batch(); // the process ends: it is read again
                }
            }
        }
    }

    /// From where Postgres stands.
    fn begin(&mut self, partitions: &[i32]) -> Result<(), Error> {
        self.drop_batch();
        self.next.clear();
        self.watch.record_progress();
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
            false => self.runtime.block_on(positions(self.pool, &first))?,
        };
        let told: BTreeMap<(bool, i32), i64> = next
            .iter()
            .map(|((topic, partition), offset)| ((*topic == self.topics.retry, *partition), *offset))
            .collect();
        self.consumer.assign(&self.topics.list(&told)?)?;
        self.told = Arc::new(Mutex::new(told));
        self.consumer.context().begun(AssignedWork {
            positions: self.told.clone(),
            tasks: TaskTracker::new(),
            aborts: vec![],
            stop: CancellationToken::new(),
        });
        self.next = next;
        Ok(())
    }

    fn counted(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.since = None;
        let mut list = TopicPartitionList::new();
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for ((topic, partition), (_, next)) in batch.places {
            told.insert((topic == self.topics.retry, partition), next);
            let _ = list.add_partition_offset(&topic, partition, rdkafka::Offset::Offset(next));
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "positions were not told to Kafka");
        }
    }
}

//! The consumer of a group, on a thread of its own: reads the source and the retry topic of the partitions
//! it is given, hands them to their lanes, and commits what the lanes have done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contract::topics::ORDER_EVENTS;
use process::backoff::Backoff;
use process::kafka::topics::TopicError;
use process::kafka::{ConsumerFailure, LogContext};
use process::settings::Services;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dispatch::Dispatcher;
use super::envelope::Envelope;
use super::liveness::LivenessCheck;
use super::membership::{AssignedWork, GroupTopics, Membership};
use super::order_scheduler::Origin;
use super::partition_worker::{Inbox, ReceivedRecord, StartOffsets, lane};
use super::{Group, Handler};
use crate::host::Host;

/// The place in the group as a dependency.
pub const GROUP: &str = "group";
/// The group takes a partition from a silent member after this long.
const SESSION_TIMEOUT_MS: &str = "6000";
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(20);
/// One question to the brokers.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Between two commits.
const COMMIT_EVERY: Duration = Duration::from_millis(500);

/// Consumes until the host stops, then leaves the group. Blocks its thread.
pub fn consume<H: Handler>(host: &Host, group: Group, shared: &Arc<Dispatcher<H>>, runtime: &Handle) {
    host.health.declare(GROUP, true);
    host.health.declare("kafka", true);
    let mut backoff = Backoff::default();
    while !host.stop.is_cancelled() {
        match GroupConsumer::start(host, group, shared, runtime) {
            Ok(mut consumer) => {
                if let Err(failure) = consumer.run(&host.stop) {
                    failure.report_replacement();
                    host.health.mark_down(GROUP, failure.to_string());
                }
                consumer.consumer.context().end(&consumer.consumer);
            }
            Err(error) => tracing::error!(%error, "cannot start the consumer"),
        }
        if !host.stop.is_cancelled() {
            std::thread::sleep(backoff.advance());
        }
    }
}

struct GroupConsumer<'a, H> {
    consumer: BaseConsumer<Membership>,
    topics: GroupTopics,
    host: &'a Host,
    shared: &'a Arc<Dispatcher<H>>,
    runtime: &'a Handle,
    watch: LivenessCheck,
    inboxes: BTreeMap<i32, Inbox>,
    /// What comes next of the retry topic or the source, by partition.
    next: BTreeMap<(bool, i32), i64>,
    paused: BTreeSet<i32>,
    committed: BTreeMap<(bool, i32), i64>,
    commit_at: Instant,
    begin_at: Instant,
    backoff: Backoff,
}

impl<'a, H: Handler> GroupConsumer<'a, H> {
    fn start(
        host: &'a Host,
        group: Group,
        shared: &'a Arc<Dispatcher<H>>,
        runtime: &'a Handle,
    ) -> Result<Self, KafkaError> {
        let (consumer, topics) = join(host, group, runtime)?;
        Ok(Self {
            consumer,
            watch: LivenessCheck::new(host, &topics.source, runtime),
            topics,
            host,
            shared,
            runtime,
            inboxes: BTreeMap::new(),
            next: BTreeMap::new(),
            paused: BTreeSet::new(),
            committed: BTreeMap::new(),
            commit_at: Instant::now(),
            begin_at: Instant::now(),
            backoff: Backoff::default(),
        })
    }

    fn run(&mut self, stop: &CancellationToken) -> Result<(), ConsumerFailure> {
        while !stop.is_cancelled() {
            self.poll()?;
            self.follow_group();
            self.follow_load()?;
            self.commit()?;
            self.check()?;
        }
        Ok(())
    }

    /// Of a paused partition nothing is to be read.
    fn check(&mut self) -> Result<(), ConsumerFailure> {
        let (next, paused, topics) = (&self.next, &self.paused, &self.topics);
        self.watch.check(self.consumer.context().has_begun(), || {
            let read = next.iter().filter(|((retry, partition), _)| *retry || !paused.contains(partition));
            read.map(|((retry, partition), next)| ((topics.name(*retry).into(), *partition), *next)).collect()
        })
    }

    fn poll(&mut self) -> Result<(), KafkaError> {
        let mut patience = POLL;
        // Not endless: the other duties come between.
        for _ in 0..1000 {
            match self.consumer.poll(patience) {
                None => return Ok(()),
                Some(Ok(message)) => {
                    let retry = message.topic() == self.topics.retry;
                    self.watch.record_progress();
                    self.next.insert((retry, message.partition()), message.offset() + 1);
                    if let Some(inbox) = self.inboxes.get(&message.partition()) {
                        let origin = Origin { retry, offset: message.offset() };
                        inbox.put(ReceivedRecord { origin, envelope: Envelope::read(&message) });
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                // Brokers come and go: the client goes on by itself, and health tells of it.
                Some(Err(error)) => tracing::debug!(%error, "consumer"),
            }
            patience = Duration::ZERO;
        }
        Ok(())
    }

    /// Begins what the group has given us.
    fn follow_group(&mut self) {
        if self.begin_at > Instant::now() {
            return;
        }
        let Some(partitions) = self.consumer.context().take_assigned() else { return };
        match self.begin(&partitions) {
            Ok(()) => {
                tracing::info!(?partitions, "consuming");
                self.backoff.reset();
                self.host.health.mark_up(GROUP);
            }
            Err(error) => {
                if self.backoff.should_log() {
                    tracing::warn!(%error, "cannot take partitions over yet");
                }
                self.host.health.mark_down(GROUP, error.to_string());
                self.begin_at = Instant::now() + self.backoff.advance();
                self.consumer.context().put_back(partitions);
            }
        }
    }

    /// From the committed positions. What waits in the retry topic up to its present end is read back before
    /// a lane begins anything.
    fn begin(&mut self, partitions: &[i32]) -> Result<(), KafkaError> {
        let mut wanted = TopicPartitionList::new();
        for retry in [false, true] {
            for partition in partitions {
                wanted.add_partition(self.topics.name(retry), *partition);
            }
        }
        let committed = match wanted.count() {
            0 => TopicPartitionList::new(),
            _ => self.consumer.committed_offsets(wanted, TIMEOUT)?,
        };
        let (mut positions, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for element in committed.elements() {
            element.error()?;
            let (retry, partition) = (element.topic() == self.topics.retry, element.partition());
            let (low, high) = self.consumer.fetch_watermarks(element.topic(), partition, TIMEOUT)?;
            let position = match element.offset() {
                Offset::Offset(offset) if offset < low => {
                    tracing::error!(
                        topic = element.topic(),
                        partition,
                        offset,
                        low,
                        "events are gone for good"
                    );
                    low
                }
                Offset::Offset(offset) => offset.min(high),
                _ => low,
            };
            positions.insert((retry, partition), position);
            ends.insert((retry, partition), high);
        }
        let list = self.topics.list(&positions)?;
        let work = AssignedWork {
            positions: Arc::new(Mutex::new(positions.clone())),
            tasks: TaskTracker::new(),
            aborts: vec![],
            stop: CancellationToken::new(),
        };
        let (mut work, mut inboxes) = (work, BTreeMap::new());
        for partition in partitions {
            let at =
                |map: &BTreeMap<(bool, i32), i64>, retry| map.get(&(retry, *partition)).copied().unwrap_or(0);
            let start = StartOffsets {
                partition: *partition,
                source: at(&positions, false),
                retry: at(&positions, true),
                retry_end: at(&ends, true),
            };
            let (inbox, lane) = lane(start, self.shared.clone(), work.positions.clone(), work.stop.clone());
            work.aborts.push(work.tasks.spawn_on(lane.run(), self.runtime).abort_handle());
            inboxes.insert(*partition, inbox);
        }
        self.inboxes = inboxes;
        self.next = positions.clone();
        self.watch.record_progress();
        self.committed = positions;
        self.consumer.context().begun(work);
        self.resume()?; // the client keeps a partition paused across assignments
        self.consumer.assign(&list)
    }

    fn resume(&mut self) -> Result<(), KafkaError> {
        for partition in std::mem::take(&mut self.paused) {
            self.consumer.resume(&self.source_of(partition))?;
        }
        Ok(())
    }

    fn source_of(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topics.source, partition);
        list
    }

    /// A lane that has enough gets no more of the source.
    fn follow_load(&mut self) -> Result<(), KafkaError> {
        let mut change = vec![];
        for (partition, inbox) in &self.inboxes {
            let paused = self.paused.contains(partition);
            if inbox.is_full(paused) != paused {
                change.push((*partition, !paused));
            }
        }
        for (partition, pause) in change {
            let list = self.source_of(partition);
            if pause {
                self.consumer.pause(&list)?;
                self.paused.insert(partition);
            } else {
                self.consumer.resume(&list)?;
                self.paused.remove(&partition);
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), KafkaError> {
        if self.commit_at > Instant::now() {
            return Ok(());
        }
        self.commit_at = Instant::now() + COMMIT_EVERY;
        let mut moved = self.consumer.context().positions();
        moved.retain(|place, offset| self.committed.get(place) != Some(offset));
        if moved.is_empty() {
            return Ok(());
        }
        match self.consumer.commit(&self.topics.list(&moved)?, CommitMode::Async) {
            Ok(()) => self.committed.extend(moved),
            Err(error) => tracing::debug!(%error, "positions were not committed"),
        }
        Ok(())
    }
}

/// A consumer that joins its group, and waits for partitions of both topics.
pub fn join(
    host: &Host,
    group: Group,
    runtime: &Handle,
) -> Result<(BaseConsumer<Membership>, GroupTopics), KafkaError> {
    let services = &host.services;
    let mut config = process::kafka::client(&services.kafka_brokers, group.name);
    config
        .set("group.id", services.topic(group.name))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        // The same partitions of both topics go to the same member: the topics have equally many.
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", SESSION_TIMEOUT_MS)
        .set("heartbeat.interval.ms", "1000")
        .set("statistics.interval.ms", "1000")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.min.messages", "1000")
        .set("queued.max.messages.kbytes", "8192");
    let topics = GroupTopics {
        group: group.name,
        source: services.topic(ORDER_EVENTS.name),
        retry: services.topic(group.retry.name),
    };
    let membership = Membership::new(topics.clone(), host.health.clone(), runtime.clone());
    let consumer = BaseConsumer::from_config_and_context(&config, membership)?;
    consumer.subscribe(&[&topics.source, &topics.retry])?;
    Ok((consumer, topics))
}

/// How many partitions the source has: an error until settlement has made it.
pub async fn source_partitions(services: &Services) -> Result<usize, TopicError> {
    let config = process::kafka::client(&services.kafka_brokers, "topics");
    let topic = services.topic(ORDER_EVENTS.name);
    let asked = tokio::task::spawn_blocking(move || {
        let consumer = BaseConsumer::<LogContext>::from_config_and_context(&config, LogContext)?;
        let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT)?;
        Ok::<_, KafkaError>((metadata.topics().first().map_or(0, |topic| topic.partitions().len()), topic))
    });
    match asked.await {
        Ok(Ok((0, topic))) => Err(TopicError::Refused(topic, RDKafkaErrorCode::UnknownTopicOrPartition)),
        Ok(Ok((partitions, _))) => Ok(partitions),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(KafkaError::Canceled.into()),
    }
}

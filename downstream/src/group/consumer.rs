//! The consumer of a group, on a thread of its own: polls the source and retry topics of its assigned partitions,
//! passes the records to the partition workers, and commits the positions that the workers publish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::topics::ORDER_EVENTS;
use parking_lot::Mutex;
use process::backoff::Backoff;
use process::kafka::topics::TopicError;
use process::kafka::{CLIENTS_REPLACED, ConsumerFailure, LogContext};
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
use super::partition_worker::{Inbox, PartitionWorker, ReceivedRecord, StartOffsets};
use super::{Group, Handler};
use crate::host::Host;

/// The name of the group membership as a dependency in health checks.
pub const GROUP: &str = "group";
/// The group reassigns the partitions of a member that sends no heartbeat for this long.
const SESSION_TIMEOUT_MS: &str = "6000";
/// The time limit of the first poll in a round.
const POLL: Duration = Duration::from_millis(20);
/// The greatest number of polls in a round, so that the other duties have their turn.
const POLLS_MAX: usize = 1000;
/// The time limit of a request to the brokers.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The interval between two commits.
const COMMIT_EVERY: Duration = Duration::from_millis(500);

/// The offsets of partitions, by topic (true: retry topic, false: source topic) and partition.
type OffsetMap = BTreeMap<(bool, i32), i64>;

/// Consumes until the host stops, then leaves the group. Blocks the calling thread.
pub fn consume<H: Handler>(host: &Host, group: Group, dispatcher: &Arc<Dispatcher<H>>, runtime: &Handle) {
    host.health.declare(GROUP, true);
    host.health.declare("kafka", true);
    let mut backoff = Backoff::default();
    while !host.stop.is_cancelled() {
        match GroupConsumer::start(host, group, dispatcher, runtime) {
            Ok(mut consumer) => {
                if let Err(failure) = consumer.run(&host.stop) {
                    failure.report_replacement(&CLIENTS_REPLACED.with(["consumer"]));
                    host.health.mark_down(GROUP, failure.to_string());
                }
                consumer.consumer.context().finish_work(&consumer.consumer);
            }
            Err(error) => tracing::error!(%error, "cannot start the consumer"),
        }
        if !host.stop.is_cancelled() {
            #[expect(clippy::disallowed_methods, reason = "this thread runs no tasks")]
            std::thread::sleep(backoff.advance());
        }
    }
}

struct GroupConsumer<'a, H> {
    consumer: BaseConsumer<Membership>,
    topics: GroupTopics,
    host: &'a Host,
    dispatcher: &'a Arc<Dispatcher<H>>,
    runtime: &'a Handle,
    liveness: LivenessCheck,
    inboxes: BTreeMap<i32, Inbox>,
    /// The offset of the next record of each partition.
    next: OffsetMap,
    /// The partitions whose source topic is paused.
    paused: BTreeSet<i32>,
    committed: OffsetMap,
    commit_at: Instant,
    start_at: Instant,
    backoff: Backoff,
}

impl<'a, H: Handler> GroupConsumer<'a, H> {
    fn start(
        host: &'a Host,
        group: Group,
        dispatcher: &'a Arc<Dispatcher<H>>,
        runtime: &'a Handle,
    ) -> Result<Self, KafkaError> {
        let (consumer, topics) = join(host, group, runtime)?;
        Ok(Self {
            consumer,
            liveness: LivenessCheck::new(host, &topics.source, runtime),
            topics,
            host,
            dispatcher,
            runtime,
            inboxes: BTreeMap::new(),
            next: BTreeMap::new(),
            paused: BTreeSet::new(),
            committed: BTreeMap::new(),
            commit_at: Instant::now(),
            start_at: Instant::now(),
            backoff: Backoff::default(),
        })
    }

    fn run(&mut self, stop: &CancellationToken) -> Result<(), ConsumerFailure> {
        while !stop.is_cancelled() {
            self.poll()?;
            self.start_assigned();
            self.pause_and_resume()?;
            self.commit()?;
            self.check_liveness()?;
        }
        Ok(())
    }

    /// Checks that the consumer reads. Nothing is expected from the source of a paused partition.
    fn check_liveness(&mut self) -> Result<(), ConsumerFailure> {
        let (next, paused, topics) = (&self.next, &self.paused, &self.topics);
        self.liveness.check(self.consumer.context().is_working(), || {
            let read = next.iter().filter(|((retry, partition), _)| *retry || !paused.contains(partition));
            read.map(|((retry, partition), next)| ((topics.name(*retry).into(), *partition), *next)).collect()
        })
    }

    fn poll(&mut self) -> Result<(), KafkaError> {
        let mut timeout = POLL;
        for _ in 0..POLLS_MAX {
            match self.consumer.poll(timeout) {
                None => return Ok(()),
                Some(Ok(message)) => {
                    let retry = message.topic() == self.topics.retry;
                    self.next.insert((retry, message.partition()), message.offset() + 1);
                    if let Some(inbox) = self.inboxes.get(&message.partition()) {
                        let origin = Origin { retry, offset: message.offset() };
                        inbox.send(ReceivedRecord { origin, envelope: Envelope::from_record(&message) });
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                // The client reconnects to brokers by itself, and health reports that they are down.
                Some(Err(error)) => tracing::debug!(%error, "consumer reported an error"),
            }
            timeout = Duration::ZERO;
        }
        Ok(())
    }

    /// Starts the partitions that the group has assigned since the last call.
    fn start_assigned(&mut self) {
        if self.start_at > Instant::now() {
            return;
        }
        let Some(partitions) = self.consumer.context().take_assigned() else { return };
        match self.start_partitions(&partitions) {
            Ok(()) => {
                tracing::info!(?partitions, "consuming assigned partitions");
                self.backoff.reset();
                self.host.health.mark_up(GROUP);
            }
            Err(error) => {
                if self.backoff.should_log() {
                    tracing::warn!(%error, "cannot start the assigned partitions yet");
                }
                self.host.health.mark_down(GROUP, error.to_string());
                self.start_at = Instant::now() + self.backoff.advance();
                self.consumer.context().restore_assigned(partitions);
            }
        }
    }

    /// Starts partitions from their committed positions. The retry topic is read back up to its present end before a
    /// worker starts any task.
    fn start_partitions(&mut self, partitions: &[i32]) -> Result<(), KafkaError> {
        let (positions, ends) = self.fetch_positions(partitions)?;
        let list = self.topics.list(&positions)?;
        let mut work = AssignedWork {
            positions: Arc::new(Mutex::new(positions.clone())),
            tasks: TaskTracker::new(),
            aborts: vec![],
            stop: CancellationToken::new(),
        };
        let mut inboxes = BTreeMap::new();
        for partition in partitions {
            let offset = |map: &OffsetMap, retry| map.get(&(retry, *partition)).copied().unwrap_or(0);
            let start = StartOffsets {
                partition: *partition,
                source: offset(&positions, false),
                retry: offset(&positions, true),
                retry_end: offset(&ends, true),
            };
            let (inbox, worker) = PartitionWorker::new(
                start,
                self.dispatcher.clone(),
                work.positions.clone(),
                work.stop.clone(),
            );
            work.aborts.push(work.tasks.spawn_on(worker.run(), self.runtime).abort_handle());
            inboxes.insert(*partition, inbox);
        }
        self.inboxes = inboxes;
        self.next = positions.clone();
        self.liveness.restart_progress();
        self.committed = positions;
        self.consumer.context().set_work(work);
        self.resume_all()?; // the client keeps a partition paused across assignments
        self.consumer.assign(&list)
    }

    /// Returns the positions at which both topics of these partitions are read, and the ends of the topics.
    fn fetch_positions(&self, partitions: &[i32]) -> Result<(OffsetMap, OffsetMap), KafkaError> {
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
            let (topic, partition) = (element.topic(), element.partition());
            let (low, high) = self.consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
            let position = match element.offset() {
                Offset::Offset(offset) if offset < low => {
                    tracing::error!(topic, partition, offset, low, "unread events were deleted by retention");
                    low
                }
                Offset::Offset(offset) => offset.min(high),
                _ => low,
            };
            let retry = topic == self.topics.retry;
            positions.insert((retry, partition), position);
            ends.insert((retry, partition), high);
        }
        Ok((positions, ends))
    }

    fn resume_all(&mut self) -> Result<(), KafkaError> {
        for partition in std::mem::take(&mut self.paused) {
            self.consumer.resume(&self.source_list(partition))?;
        }
        Ok(())
    }

    fn source_list(&self, partition: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topics.source, partition);
        list
    }

    /// Applies backpressure: pauses the source of a worker that is full, and resumes it later.
    fn pause_and_resume(&mut self) -> Result<(), KafkaError> {
        let mut changes = vec![];
        for (partition, inbox) in &self.inboxes {
            let paused = self.paused.contains(partition);
            if inbox.is_full(paused) != paused {
                changes.push((*partition, !paused));
            }
        }
        for (partition, pause) in changes {
            let list = self.source_list(partition);
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
        moved.retain(|partition, offset| self.committed.get(partition) != Some(offset));
        if moved.is_empty() {
            return Ok(());
        }
        match self.consumer.commit(&self.topics.list(&moved)?, CommitMode::Async) {
            Ok(()) => self.committed.extend(moved),
            Err(error) => tracing::debug!(%error, "cannot commit the positions"),
        }
        Ok(())
    }
}

/// Creates a consumer that joins its group and waits for partitions of both topics.
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
        // Both topics have the same number of partitions, so the same member gets partition n of both.
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

/// Returns the number of partitions of the source topic. Fails until settlement has created it.
pub async fn source_partitions(services: &Services) -> Result<usize, TopicError> {
    let config = process::kafka::client(&services.kafka_brokers, "topics");
    let topic = services.topic(ORDER_EVENTS.name);
    let request = tokio::task::spawn_blocking(move || {
        let consumer = BaseConsumer::<LogContext>::from_config_and_context(&config, LogContext)?;
        let metadata = consumer.fetch_metadata(Some(&topic), TIMEOUT)?;
        Ok::<_, KafkaError>((metadata.topics().first().map_or(0, |topic| topic.partitions().len()), topic))
    });
    match request.await {
        Ok(Ok((0, topic))) => Err(TopicError::Refused(topic, RDKafkaErrorCode::UnknownTopicOrPartition)),
        Ok(Ok((partitions, _))) => Ok(partitions),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(KafkaError::Canceled.into()),
    }
}

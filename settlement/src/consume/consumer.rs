//! The consumer of the log, on a thread of its own: librdkafka blocks.
//!
//! Positions live in Postgres, not in Kafka. So when the group assigns partitions, nothing is fetched
//! until the settle loop has read where to go on ([`ConsumerCommand::Place`]), and then exactly from there.
//! Eager assignment, because it fits that: a rebalance or an error stops every partition of the process,
//! and one call of `assign` with explicit offsets starts them all. With few partitions, and a takeover
//! that costs one query, there is nothing that cooperative assignment could save.
//!
//! Each assignment has a generation. What was gathered under an older one is dropped by whoever meets it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use contract::topics::ORDERS;
use process::health::Health;
use process::kafka::{ConsumerFailure, STALL_MAX, Watchdog};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::consume::consumer_channel::{ConsumerCommand, ConsumerEvent};
use crate::consume::decoded_record::DecodedRecord;
use crate::consume::rebalance::{Rebalance, Rebalances};
use crate::context::Context;
use crate::context::log_ends::LogEnds;
use crate::settings::Settings;
use process::backoff::Backoff;

/// The log as a dependency: there, and readable from where Postgres stands.
pub const LOG: &str = "log";
/// Consumer group of settlement.
pub const GROUP: &str = "settlement";
/// The group takes a partition from a silent member after this long.
const SESSION_TIMEOUT_MS: &str = "6000";
/// How long one poll waits where nothing is gathered; commands wait as long.
const POLL_IDLE: Duration = Duration::from_millis(20);
/// How long to wait for the settle loop where a whole batch is gathered.
const POLL_FULL: Duration = Duration::from_millis(1);
/// After so long without room for a batch, partitions are paused and polling goes on, so that the group
/// keeps us. Not sooner: pausing drops what librdkafka has fetched ahead.
const STALL: Duration = Duration::from_millis(500);
/// Positions are told to Kafka so often, for the usual tools; nothing reads them back.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Longest pause between attempts to read from a log that has a gap or has lost an offset.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Consumes until `stop`, then leaves the group. Blocks its thread.
pub fn run(
    context: &Context,
    handovers: &mpsc::Sender<ConsumerEvent>,
    commands: &Receiver<ConsumerCommand>,
    stop: &CancellationToken,
) {
    let mut generation = 0;
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        match Consumer::start(&context.settings, &context.health, &context.log_ends, generation) {
            Ok(mut consumer) => {
                if let Err(failure) = consumer.run(handovers, commands, stop) {
                    failure.report_replacement();
                }
                generation = consumer.generation + 1;
            }
            Err(error) => tracing::error!(%error, "cannot start the consumer"),
        }
        if !stop.is_cancelled() {
            std::thread::sleep(backoff.advance());
        }
    }
}

struct Consumer {
    /// What was paused. The client keeps a partition paused across assignments, until it is told otherwise.
    /// Stands before the client, so that it is dropped first: it belongs to the client, which waits for it at its
    /// end, for ever.
    paused: Option<TopicPartitionList>,
    consumer: BaseConsumer<Rebalances>,
    health: Health,
    log_ends: LogEnds,
    watchdog: Watchdog,
    /// Partitions that have not been read since they were placed; empty: the log is as it should be.
    unread: BTreeSet<i32>,
    topic: String,
    orders_max: usize,
    wait: Duration,
    generation: u64,
    partitions: Vec<i32>,
    /// The next offset of each partition that is placed.
    expected: BTreeMap<i32, i64>,
    gathered: BTreeMap<i32, Vec<DecodedRecord>>,
    gathered_orders: usize,
    gathered_since: Option<Instant>,
    queue: VecDeque<ConsumerEvent>,
    full_since: Option<Instant>,
    /// An assignment is not announced before: pauses after errors.
    announce_at: Option<Instant>,
    backoff: Backoff,
    settled: BTreeMap<i32, i64>,
    commit_at: Instant,
}

impl Consumer {
    fn start(
        settings: &Settings,
        health: &Health,
        log_ends: &LogEnds,
        generation: u64,
    ) -> Result<Self, KafkaError> {
        let services = &settings.services;
        let mut config = process::kafka::client(&services.kafka_brokers, "settlement");
        config
            .set("group.id", services.topic(GROUP))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("partition.assignment.strategy", "range,roundrobin")
            .set("session.timeout.ms", SESSION_TIMEOUT_MS)
            .set("heartbeat.interval.ms", "1000")
            // Fewer, fuller answers: each costs the broker more than what is in it.
            .set("fetch.min.bytes", "65536")
            .set("fetch.wait.max.ms", "20")
            .set("fetch.error.backoff.ms", "50")
            // ConsumerCommands are small: as many as fit. The pause when they do not is a second by default.
            .set("queued.min.messages", "100000")
            .set("fetch.queue.backoff.ms", "10")
            .set("queued.max.messages.kbytes", "8192"); // half a second of the fastest burst
        let consumer = BaseConsumer::from_config_and_context(&config, Rebalances::default())?;
        let topic = services.topic(ORDERS.name);
        consumer.subscribe(&[&topic])?;
        Ok(Self {
            consumer,
            health: health.clone(),
            log_ends: log_ends.clone(),
            watchdog: Watchdog::default(),
            unread: BTreeSet::new(),
            topic,
            orders_max: settings.settlement.batch_orders_max as usize,
            wait: settings.settlement.batch_wait(),
            generation,
            partitions: Vec::new(),
            expected: BTreeMap::new(),
            gathered: BTreeMap::new(),
            gathered_orders: 0,
            gathered_since: None,
            queue: VecDeque::new(),
            full_since: None,
            paused: None,
            announce_at: None,
            backoff: Backoff::up_to(RETRY_MAX),
            settled: BTreeMap::new(),
            commit_at: Instant::now(),
        })
    }

    fn run(
        &mut self,
        handovers: &mpsc::Sender<ConsumerEvent>,
        commands: &Receiver<ConsumerCommand>,
        stop: &CancellationToken,
    ) -> Result<(), ConsumerFailure> {
        while !stop.is_cancelled() {
            self.obey(commands)?;
            self.hand_over(handovers)?;
            self.poll()?;
            self.follow_group()?;
            self.commit();
            self.check()?;
        }
        self.commit_at = Instant::now();
        self.commit();
        Ok(())
    }

    fn obey(&mut self, commands: &Receiver<ConsumerCommand>) -> Result<(), KafkaError> {
        loop {
            match commands.try_recv() {
                Ok(ConsumerCommand::Place { generation, positions }) if generation == self.generation => {
                    let mut list = TopicPartitionList::new();
                    for (partition, offset) in &positions {
                        list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
                    }
                    self.consumer.assign(&list)?;
                    self.watchdog.record_progress();
                    self.unread = positions.iter().map(|(partition, _)| *partition).collect();
                    self.expected = positions.into_iter().collect();
                    if self.unread.is_empty() {
                        self.health.mark_up(LOG); // nothing is ours: others settle
                    }
                }
                Ok(ConsumerCommand::Restart { generation }) if generation == self.generation => {
                    self.restart(None)?
                }
                Ok(ConsumerCommand::Settled { partition, next_offset }) => {
                    self.settled.insert(partition, next_offset);
                }
                Ok(_) => {} // of an older generation
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Nothing is fetched any more; the settle loop is asked for positions, after a pause if there is one.
    fn restart(&mut self, pause: Option<Duration>) -> Result<(), KafkaError> {
        self.resume()?;
        self.consumer.assign(&TopicPartitionList::new())?;
        self.begin_generation(self.partitions.clone(), pause)
    }

    fn begin_generation(&mut self, partitions: Vec<i32>, pause: Option<Duration>) -> Result<(), KafkaError> {
        self.resume()?;
        self.generation += 1;
        self.partitions = partitions;
        self.expected.clear();
        self.gathered.clear();
        self.gathered_orders = 0;
        self.gathered_since = None;
        self.queue.clear();
        self.full_since = None;
        self.announce_at = pause.map(|pause| Instant::now() + pause);
        let handover =
            ConsumerEvent::Assigned { generation: self.generation, partitions: self.partitions.clone() };
        self.queue.push_back(handover);
        Ok(())
    }

    /// Whether the client still does what it is for. What it should see, the one that measures the lag has seen.
    fn check(&mut self) -> Result<(), ConsumerFailure> {
        if !self.watchdog.is_due() {
            return Ok(());
        }
        let lately = Instant::now() - STALL_MAX / 2;
        let full = self.paused.is_some() || !self.queue.is_empty() || self.gathered_orders >= self.orders_max;
        let behind = !full
            && self.expected.iter().any(|(partition, expected)| {
                self.log_ends.measurement(*partition, lately).is_some_and(|measured| measured.end > *expected)
            });
        self.watchdog.judge(behind, self.log_ends.responded_since(lately))
    }

    fn follow_group(&mut self) -> Result<(), KafkaError> {
        for rebalance in self.consumer.context().take() {
            self.watchdog.set_assigned(matches!(rebalance, Rebalance::Assigned(_)));
            let partitions = match rebalance {
                Rebalance::Assigned(partitions) => partitions,
                Rebalance::Revoked => Vec::new(),
            };
            self.begin_generation(partitions, None)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, handovers: &mpsc::Sender<ConsumerEvent>) -> Result<(), KafkaError> {
        if self.announce_at.is_some_and(|at| at > Instant::now()) {
            return Ok(());
        }
        self.announce_at = None;
        let due = self.gathered_since.is_some_and(|since| since.elapsed() >= self.wait);
        if self.queue.is_empty() && (due || self.gathered_orders >= self.orders_max) {
            let parts = std::mem::take(&mut self.gathered).into_iter().collect();
            self.queue.push_back(ConsumerEvent::Batch { generation: self.generation, parts });
            self.gathered_since = None;
            self.gathered_orders = 0;
        }
        while let Some(handover) = self.queue.pop_front() {
            match handovers.try_send(handover) {
                Ok(()) => {
                    self.full_since = None;
                    self.resume()?;
                }
                Err(TrySendError::Full(handover)) => {
                    self.queue.push_front(handover);
                    let since = *self.full_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > STALL {
                        self.pause()?;
                    }
                    break;
                }
                Err(TrySendError::Closed(_)) => break, // the process is ending
            }
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), KafkaError> {
        if self.paused.is_none() {
            tracing::warn!("settling takes long: the log is not read meanwhile");
            let assignment = self.consumer.assignment()?;
            self.consumer.pause(&assignment)?;
            self.paused = Some(assignment);
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), KafkaError> {
        if let Some(paused) = self.paused.take() {
            self.consumer.resume(&paused)?;
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<(), KafkaError> {
        if self.gathered_orders >= self.orders_max && self.paused.is_none() {
            std::thread::sleep(POLL_FULL);
            return Ok(());
        }
        let patience = match self.gathered_since {
            Some(since) => self.wait.saturating_sub(since.elapsed()).clamp(POLL_FULL, POLL_IDLE),
            None => POLL_IDLE,
        };
        match self.consumer.poll(patience) {
            None => Ok(()),
            Some(Ok(message)) => {
                self.watchdog.record_progress();
                let (partition, offset) = (message.partition(), message.offset());
                match self.expected.get(&partition).copied() {
                    None => Ok(()), // fetched before a restart
                    Some(expected) if offset < expected => Ok(()),
                    Some(expected) if offset > expected => {
                        drop(message);
                        self.records_missing(&format!(
                            "partition {partition} goes on at {offset}, but {expected} is expected"
                        ))
                    }
                    Some(_) => {
                        let incoming = DecodedRecord::read(&message);
                        drop(message);
                        self.gather(partition, incoming);
                        Ok(())
                    }
                }
            }
            Some(Err(error)) => self.failed(error),
        }
    }

    fn gather(&mut self, partition: i32, incoming: DecodedRecord) {
        self.expected.insert(partition, incoming.offset + 1);
        self.gathered_orders += incoming.orders();
        self.gathered_since.get_or_insert_with(Instant::now);
        self.gathered.entry(partition).or_default().push(incoming);
        self.readable(partition);
    }

    /// A partition can be read from where Postgres stands. Once all of them can, the log is sound.
    fn readable(&mut self, partition: i32) {
        if self.unread.remove(&partition) && self.unread.is_empty() {
            self.backoff.reset();
            self.health.mark_up(LOG);
        }
    }

    /// Records are never skipped: somebody must look. Until then it is tried again, and said again.
    fn records_missing(&mut self, why: &str) -> Result<(), KafkaError> {
        tracing::error!(
            why,
            "the log has lost records: restore the topic, or set log_position by hand after a check"
        );
        self.health.mark_down(LOG, why);
        let pause = self.backoff.advance();
        self.restart(Some(pause))
    }

    fn failed(&mut self, error: KafkaError) -> Result<(), KafkaError> {
        match error {
            KafkaError::MessageConsumptionFatal(_) => Err(error),
            KafkaError::PartitionEOF(partition) => {
                self.watchdog.record_progress();
                self.readable(partition);
                Ok(())
            }
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ) => {
                let why = format!("an offset to go on from is not there: {:?}", self.expected);
                self.records_missing(&why)
            }
            // Brokers come and go: the client goes on by itself, and health tells of it.
            _ => {
                tracing::debug!(%error, "consumer");
                Ok(())
            }
        }
    }

    fn commit(&mut self) {
        if self.settled.is_empty() || self.commit_at > Instant::now() {
            return;
        }
        self.commit_at = Instant::now() + COMMIT_EVERY;
        let mut list = TopicPartitionList::new();
        for (partition, offset) in std::mem::take(&mut self.settled) {
            if self.partitions.contains(&partition) {
                let _ = list.add_partition_offset(&self.topic, partition, Offset::Offset(offset));
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "positions were not told to Kafka");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn a_consumer_that_is_paused_ends() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(ORDERS.name, 1, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let settings = Settings::parse_from(["settlement", "--kafka-brokers", &brokers]);
        let mut consumer = Consumer::start(&settings, &Health::default(), &LogEnds::default(), 0).unwrap();
        consumer.consumer.unsubscribe();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(ORDERS.name, 0, Offset::Beginning).unwrap();
        consumer.consumer.assign(&list).unwrap();
        let (begun, limit) = (Instant::now(), Duration::from_secs(20));
        while !matches!(consumer.consumer.poll(POLL_IDLE), Some(Err(KafkaError::PartitionEOF(0)))) {
            assert!(begun.elapsed() < limit, "nothing is read");
        }
        consumer.pause().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(consumer);
            tell.send(()).unwrap();
        });
        told.recv_timeout(limit).expect("it ends");
    }
}

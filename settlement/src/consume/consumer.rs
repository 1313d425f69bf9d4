//! The consumer of the log. It runs on its own thread, because librdkafka blocks.
//!
//! Positions are stored in Postgres, not in Kafka. So when the group assigns partitions, nothing is fetched until
//! the settle loop has read the positions ([`ConsumerCommand::Seek`]), and fetching then begins exactly there. The
//! assignment is eager, because that suits this design: a rebalance or an error stops every partition of the
//! process, and one call of `assign` with explicit offsets starts them all. With few partitions, and a takeover
//! that costs one query, cooperative assignment could save nothing.
//!
//! Each assignment has a generation. The consumer and the settle loop drop what belongs to an older one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use contract::topics::ORDERS;
use process::backoff::Backoff;
use process::health::Health;
use process::kafka::{
    CLIENTS_REPLACED, ConsumerFailure, PartitionProgress, STALL_MAX, Watchdog, WatchdogLimits,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio_util::sync::CancellationToken;

use super::consumer_channel::{ConsumerCommand, ConsumerEvent};
use super::decoded_record::DecodedRecord;
use super::rebalance::{Rebalance, RebalanceQueue};
use crate::context::Context;
use crate::context::log_ends::LogEnds;
use crate::settings::Settings;

/// The name of the log as a dependency: it is up while it can be read from the stored positions.
pub const LOG: &str = "log";
/// The consumer group of settlement.
pub const GROUP: &str = "settlement";
/// The group reassigns the partitions of a member that has sent no heartbeat for this duration.
const SESSION_TIMEOUT_MS: &str = "6000";
/// The timeout of a poll while no batch is gathered. Commands are delayed by as much.
const POLL_IDLE: Duration = Duration::from_millis(20);
/// The pause while a whole batch is gathered and the settle loop is busy.
const POLL_FULL: Duration = Duration::from_millis(1);
/// When the settle loop has accepted no batch for this duration, the partitions are paused and polling continues, so
/// that the group keeps this member. Not sooner: a pause discards what librdkafka has prefetched.
const STALL: Duration = Duration::from_millis(500);
/// The interval of offset commits to Kafka. They serve monitoring tools; nothing reads them back.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// The longest backoff before reading again from a log that has a gap or has lost an offset.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Consumes until `stop` is cancelled, then leaves the group. Blocks its thread.
pub fn run(
    context: &Context,
    events: &mpsc::Sender<ConsumerEvent>,
    commands: &mut mpsc::Receiver<ConsumerCommand>,
    stop: &CancellationToken,
) {
    let mut generation = 0;
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        match Consumer::start(&context.settings, &context.health, &context.log_ends, generation) {
            Ok(mut consumer) => {
                if let Err(failure) = consumer.run(events, commands, stop) {
                    failure.report_replacement(&CLIENTS_REPLACED.with(["consumer"]));
                }
                generation = consumer.generation + 1;
            }
            Err(error) => tracing::error!(%error, "cannot start the Kafka consumer"),
        }
        if !stop.is_cancelled() {
            #[expect(clippy::disallowed_methods, reason = "this thread runs no tasks")]
            std::thread::sleep(backoff.advance());
        }
    }
}

struct Consumer {
    /// The paused partitions. The client keeps a partition paused across assignments, until it is resumed.
    /// This field precedes the client, so that it is dropped first: the list belongs to the client, which
    /// otherwise waits forever for it when it is destroyed.
    paused: Option<TopicPartitionList>,
    consumer: BaseConsumer<RebalanceQueue>,
    health: Health,
    log_ends: LogEnds,
    watchdog: Watchdog<i32>,
    /// The partitions that have not been read since the last seek. Empty: the whole log can be read.
    unread: BTreeSet<i32>,
    topic: String,
    orders_max: usize,
    wait: Duration,
    generation: u64,
    partitions: Vec<i32>,
    /// The next offset of each partition that is fetched.
    expected: BTreeMap<i32, i64>,
    gathered: BTreeMap<i32, Vec<DecodedRecord>>,
    gathered_orders: usize,
    gathered_since: Option<Instant>,
    queue: VecDeque<ConsumerEvent>,
    full_since: Option<Instant>,
    /// The time before which an assignment is not announced: the backoff after an error.
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
            // Fewer, larger responses: each costs the broker more than its content.
            .set("fetch.min.bytes", "65536")
            .set("fetch.wait.max.ms", "20")
            .set("fetch.error.backoff.ms", "50")
            // Commands are small: prefetch many. The backoff when the queue is full is a second by default.
            .set("queued.min.messages", "100000")
            .set("fetch.queue.backoff.ms", "10")
            .set("queued.max.messages.kbytes", "8192"); // half a second of the fastest burst
        let consumer = BaseConsumer::from_config_and_context(&config, RebalanceQueue::default())?;
        let topic = services.topic(ORDERS.name);
        consumer.subscribe(&[&topic])?;
        Ok(Self {
            consumer,
            health: health.clone(),
            log_ends: log_ends.clone(),
            watchdog: Watchdog::new(WatchdogLimits::GROUP, Instant::now()),
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
        events: &mpsc::Sender<ConsumerEvent>,
        commands: &mut mpsc::Receiver<ConsumerCommand>,
        stop: &CancellationToken,
    ) -> Result<(), ConsumerFailure> {
        while !stop.is_cancelled() {
            self.apply_commands(commands)?;
            self.send_events(events)?;
            self.poll()?;
            self.apply_rebalances()?;
            self.commit();
            self.check_progress()?;
        }
        self.commit_at = Instant::now();
        self.commit();
        Ok(())
    }

    fn apply_commands(&mut self, commands: &mut mpsc::Receiver<ConsumerCommand>) -> Result<(), KafkaError> {
        loop {
            match commands.try_recv() {
                Ok(ConsumerCommand::Seek { generation, positions }) if generation == self.generation => {
                    let mut list = TopicPartitionList::new();
                    for (partition, offset) in &positions {
                        list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
                    }
                    self.consumer.assign(&list)?;
                    self.watchdog.restart_progress();
                    self.unread = positions.iter().map(|(partition, _)| *partition).collect();
                    self.expected = positions.into_iter().collect();
                    if self.unread.is_empty() {
                        self.health.mark_up(LOG); // this process owns no partition
                    }
                }
                Ok(ConsumerCommand::Restart { generation }) if generation == self.generation => {
                    self.restart(None)?
                }
                Ok(ConsumerCommand::Settled { partition, next_offset }) => {
                    self.settled.insert(partition, next_offset);
                }
                Ok(_) => {} // belongs to an older generation
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Stops fetching, and requests the positions from the settle loop, after a pause if one is given.
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
        let partitions = self.partitions.clone();
        self.queue.push_back(ConsumerEvent::Assigned { generation: self.generation, partitions });
        Ok(())
    }

    /// Detects a client that receives nothing although the lag measurement shows that there are records.
    fn check_progress(&mut self) -> Result<(), ConsumerFailure> {
        let now = Instant::now();
        if !self.watchdog.is_due(now) {
            return Ok(());
        }
        let recently = now - STALL_MAX / 2;
        let full = self.paused.is_some() || !self.queue.is_empty() || self.gathered_orders >= self.orders_max;
        let progress = self.expected.iter().filter_map(|(partition, next)| {
            let measurement = self.log_ends.measurement(*partition, recently)?;
            Some(PartitionProgress { partition: *partition, next: *next, end: measurement.end })
        });
        // Under backpressure, no progress is expected.
        let progress = progress.filter(|_| !full);
        self.watchdog.judge(progress, self.log_ends.responded_since(recently), now)
    }

    fn apply_rebalances(&mut self) -> Result<(), KafkaError> {
        for rebalance in self.consumer.context().drain() {
            self.watchdog.set_assigned(matches!(rebalance, Rebalance::Assigned(_)), Instant::now());
            let partitions = match rebalance {
                Rebalance::Assigned(partitions) => partitions,
                Rebalance::Revoked => Vec::new(),
            };
            self.begin_generation(partitions, None)?;
        }
        Ok(())
    }

    fn send_events(&mut self, events: &mpsc::Sender<ConsumerEvent>) -> Result<(), KafkaError> {
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
        while let Some(event) = self.queue.pop_front() {
            match events.try_send(event) {
                Ok(()) => {
                    self.full_since = None;
                    self.resume()?;
                }
                Err(TrySendError::Full(event)) => {
                    self.queue.push_front(event);
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
            tracing::warn!("backpressure: pausing the log until the settle loop catches up");
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
            #[expect(clippy::disallowed_methods, reason = "this thread runs no tasks")]
            std::thread::sleep(POLL_FULL);
            return Ok(());
        }
        let timeout = match self.gathered_since {
            Some(since) => self.wait.saturating_sub(since.elapsed()).clamp(POLL_FULL, POLL_IDLE),
            None => POLL_IDLE,
        };
        match self.consumer.poll(timeout) {
            None => Ok(()),
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                match self.expected.get(&partition).copied() {
                    None => Ok(()), // fetched before a restart
                    Some(expected) if offset < expected => Ok(()),
                    Some(expected) if offset > expected => {
                        drop(message);
                        self.report_gap(&format!(
                            "partition {partition} continues at offset {offset}, expected {expected}"
                        ))
                    }
                    Some(_) => {
                        let record = DecodedRecord::from_message(&message);
                        drop(message);
                        self.gather(partition, record);
                        Ok(())
                    }
                }
            }
            Some(Err(error)) => self.handle_error(error),
        }
    }

    fn gather(&mut self, partition: i32, record: DecodedRecord) {
        self.expected.insert(partition, record.offset + 1);
        self.gathered_orders += record.orders();
        self.gathered_since.get_or_insert_with(Instant::now);
        self.gathered.entry(partition).or_default().push(record);
        self.mark_readable(partition);
    }

    /// Records that a partition can be read from its stored position. Once all of them can, the log is up.
    fn mark_readable(&mut self, partition: i32) {
        if self.unread.remove(&partition) && self.unread.is_empty() {
            self.backoff.reset();
            self.health.mark_up(LOG);
        }
    }

    /// Reports a gap in the log. Records are never skipped: an operator must decide. By then, reading is retried
    /// and the gap reported again, with backoff.
    fn report_gap(&mut self, why: &str) -> Result<(), KafkaError> {
        tracing::error!(
            why,
            "the log has lost records: restore the topic, or set log_position manually after a check"
        );
        self.health.mark_down(LOG, why);
        let pause = self.backoff.advance();
        self.restart(Some(pause))
    }

    fn handle_error(&mut self, error: KafkaError) -> Result<(), KafkaError> {
        match error {
            KafkaError::MessageConsumptionFatal(_) => Err(error),
            KafkaError::PartitionEOF(partition) => {
                self.mark_readable(partition);
                Ok(())
            }
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ) => {
                let why = format!("the log does not have a stored offset: {:?}", self.expected);
                self.report_gap(&why)
            }
            // A broker connection failed: the client reconnects automatically, and the health check reports it.
            _ => {
                tracing::debug!(%error, "the consumer reported an error");
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
            tracing::debug!(%error, "could not commit offsets to Kafka");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn a_paused_consumer_can_be_dropped() {
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
            assert!(begun.elapsed() < limit, "the end of the partition is not reached");
        }
        consumer.pause().unwrap();
        let (sender, dropped) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(consumer);
            sender.send(()).unwrap();
        });
        dropped.recv_timeout(limit).expect("dropping the consumer returns");
    }
}

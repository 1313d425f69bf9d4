//! What the gateway knows of the sales, and until when that knowledge may be acted on.
//!
//! Every 500 ms: note the time s, append a heartbeat to `sales`, read the topic up to the gateway's own
//! record. Whatever was published before s has then been read, so until s + 3 s nobody can have begun
//! a newer epoch, outwaited the leases and be selling from it (ARCHITECTURE.md, "Epochs"). An append is a
//! read that a deposed broker cannot serve stale.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::ids::{Epoch, SaleId};
use contract::publication::{Heartbeat, Position};
use metrics::{Counter, counter, gauge};
use process::boottime::Boottime;
use process::health::Health;
use process::kafka::{self, LogContext, Producer};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::sales::sale_catalog::{Changed, SaleCatalog};
use crate::sales::sale_view::SaleView;

/// How long a lease lasts, in milliseconds from before the heartbeat. Rebuilds wait for it.
pub const LEASE_MS: u64 = 3000;
/// Between two heartbeats.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(500);
/// After so long without anything read, although the log has acknowledged, the reader is replaced.
const UNREAD_MS_MAX: u64 = 10_000;
/// How long the reader sleeps where the topic is silent.
const POLL: Duration = Duration::from_millis(100);

/// All sales as read, and until when they may be acted on. Replaced as a whole, never changed.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The end of validity.
    pub until: Boottime,
    /// As read.
    pub sales: Arc<HashMap<SaleId, Arc<SaleView>>>,
    /// How far each partition of the log is settled, as its owners have told.
    pub settled: Arc<BTreeMap<i32, Position>>,
}

impl Lease {
    /// Whether it may be acted on now.
    pub fn is_valid(&self) -> bool {
        Boottime::now() < self.until
    }
    /// Whether an answer that rests on this epoch of this sale may be given now.
    pub fn covers(&self, sale: &SaleId, epoch: Epoch) -> bool {
        self.is_valid()
            && self.sales.get(sale).is_some_and(|view| view.epoch() == epoch && view.publication.ready)
    }
    /// A sale, if customers may know of it.
    pub fn sale(&self, sale: &str) -> Option<&Arc<SaleView>> {
        self.sales.get(sale)
    }
}

/// The current lease, and the sales that were found lost.
pub struct Leases {
    current: ArcSwap<Lease>,
    lost: Mutex<HashSet<(SaleId, Epoch)>>,
    newly_lost: Notify,
}

/// A heartbeat that the log has acknowledged: the reader must come past `offset`.
struct Appended {
    offset: i64,
    begun: Boottime,
}

impl Leases {
    /// No lease and no sale yet.
    pub fn new() -> Arc<Self> {
        let none = Lease { until: Boottime(0), sales: Arc::default(), settled: Arc::default() };
        Arc::new(Self {
            current: ArcSwap::from_pointee(none),
            lost: Mutex::default(),
            newly_lost: Notify::new(),
        })
    }

    /// The current one.
    pub fn load(&self) -> arc_swap::Guard<Arc<Lease>> {
        self.current.load()
    }

    /// The current one, to be kept across awaits.
    pub fn load_full(&self) -> Arc<Lease> {
        self.current.load_full()
    }

    /// Remembers a sale whose Redis state is gone; heartbeats name it, the first of them at once.
    pub fn found_lost(&self, sale: &SaleId, epoch: Epoch) {
        let new = self.lost().insert((sale.clone(), epoch));
        if new {
            self.newly_lost.notify_one();
            tracing::error!(sale_id = %sale, %epoch, "Redis has lost this sale's state");
        }
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, HashSet<(SaleId, Epoch)>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sales that are still lost: a newer epoch ends it.
    fn still_lost(&self) -> Vec<(SaleId, Epoch)> {
        let lease = self.load();
        let mut lost = self.lost();
        lost.retain(|(sale, epoch)| lease.sales.get(sale).is_some_and(|view| view.epoch() == *epoch));
        lost.iter().cloned().collect()
    }
}

/// Starts the reader and the heartbeats.
pub fn start(
    leases: Arc<Leases>,
    brokers: &str,
    topic: String,
    name: String,
    producer: Producer,
    health: Health,
    stop: CancellationToken,
) -> Result<Vec<tokio::task::JoinHandle<()>>, KafkaError> {
    let source = Source { brokers: brokers.into(), name: name.clone(), topic: topic.clone() };
    let consumer = source.open(Offset::Beginning)?;
    let (appended, heartbeats) = channel();
    let reader = Reader {
        leases: leases.clone(),
        source,
        consumer,
        heartbeats,
        health: health.clone(),
        unread_ms_max: UNREAD_MS_MAX,
    };
    let stopped = stop.clone();
    let reading = tokio::task::spawn_blocking(move || reader.run(&stopped));
    let showing = tokio::spawn(show(leases.clone(), stop.clone()));
    let beating = tokio::spawn(beat(leases, topic, name, producer, appended, health, stop));
    Ok(vec![reading, showing, beating])
}

/// Shows what is left: beside the heartbeats, which stand still while the log does not answer.
async fn show(leases: Arc<Leases>, stop: CancellationToken) {
    let left = gauge!("gateway_lease_seconds_left");
    let mut every = tokio::time::interval(HEARTBEAT_EVERY);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        left.set(leases.load().until.since_ms(Boottime::now()) as f64 / 1000.0);
    }
}

/// Appends a heartbeat every 500 ms and when a sale was found lost, one at a time.
async fn beat(
    leases: Arc<Leases>,
    topic: String,
    name: String,
    producer: Producer,
    appended: Sender<Appended>,
    health: Health,
    stop: CancellationToken,
) {
    let mut every = tokio::time::interval(HEARTBEAT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let next = async |every: &mut tokio::time::Interval| {
        tokio::select! {
            _ = every.tick() => {}
            () = leases.newly_lost.notified() => {}
        }
    };
    while stop.run_until_cancelled(next(&mut every)).await.is_some() {
        let begun = Boottime::now();
        let heartbeat = Heartbeat { gateway: name.clone(), lost: leases.still_lost() };
        let value = serde_json::to_vec(&heartbeat).unwrap_or_default(); // names and numbers always serialize
        let message = kafka::Message {
            topic: &topic,
            partition: Some(0),
            key: &heartbeat.key(),
            value: Some(&value),
            headers: &[],
        };
        let acknowledged = match producer.send(&message) {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        health.report("kafka", &acknowledged);
        // A record that the broker had already (a repeat of the client's, long after) is acknowledged without
        // its offset: nobody could tell when it was read back.
        if let Ok(acknowledged) = acknowledged
            && acknowledged.offset >= 0
        {
            let _ = appended.send(Appended { offset: acknowledged.offset, begun }); // the reader ends with us
        }
    }
}

/// How the topic is read.
struct Source {
    brokers: String,
    name: String,
    topic: String,
}

impl Source {
    fn open(&self, from: Offset) -> Result<BaseConsumer<LogContext>, KafkaError> {
        let consumer: BaseConsumer<LogContext> = kafka::client(&self.brokers, &self.name)
            .set("group.id", format!("{}-sales", self.name)) // required by the client, never used: no group
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .create_with_context(LogContext)?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(&self.topic, 0, from)?;
        consumer.assign(&partitions)?;
        Ok(consumer)
    }
}

fn replaced() -> Counter {
    counter!("kafka_clients_replaced_total", "client" => "lease")
}

/// Reads the topic on a thread of its own.
struct Reader {
    leases: Arc<Leases>,
    source: Source,
    consumer: BaseConsumer<LogContext>,
    heartbeats: Receiver<Appended>,
    health: Health,
    unread_ms_max: u64,
}

impl Reader {
    fn run(mut self, stop: &CancellationToken) {
        let _ = replaced(); // shown from the start, so that an alert has a 0 to rise from
        let mut moved = Boottime::now();
        let mut known = SaleCatalog::default();
        let mut sales = Arc::new(known.sales.clone());
        let mut settled = Arc::new(known.settled.clone());
        let mut read_to = -1;
        let mut waiting: Option<Appended> = None;
        while !stop.is_cancelled() {
            let mut changed = Changed::default();
            // Whatever is there already is read before it is shared once.
            let mut message = self.consumer.poll(POLL);
            while let Some(polled) = message {
                match polled {
                    Ok(message) => {
                        read_to = message.offset();
                        moved = Boottime::now();
                        known.apply(message.key().unwrap_or_default(), message.payload(), &mut changed);
                    }
                    Err(error) => tracing::debug!(%error, "reading the topic sales"),
                }
                message = self.consumer.poll(Duration::ZERO);
            }
            if changed.sales {
                sales = Arc::new(known.sales.clone());
            }
            if changed.positions {
                settled = Arc::new(known.settled.clone());
            }
            // Only the newest heartbeat that has been read past matters.
            let mut until = self.leases.load().until;
            while let Some(appended) = waiting.take().or_else(|| self.heartbeats.try_recv().ok()) {
                if appended.offset > read_to {
                    waiting = Some(appended);
                    break;
                }
                until = until.max(appended.begun.plus_ms(LEASE_MS));
            }
            // The log acknowledges, and nothing comes back: a client that has lost its way after an outage.
            let unread = waiting.as_ref().map_or(0, |appended| Boottime::now().since_ms(appended.begun));
            if unread > self.unread_ms_max && Boottime::now().since_ms(moved) > self.unread_ms_max {
                self.reopen(read_to);
                moved = Boottime::now();
            }
            // What is newly read holds at once; only the time it holds for comes from the heartbeat.
            let lease = Lease { until, sales: sales.clone(), settled: settled.clone() };
            self.leases.current.store(Arc::new(lease));
            if self.leases.load().is_valid() {
                self.health.mark_up("lease");
            } else {
                self.health.mark_down(
                    "lease",
                    "no heartbeat of this gateway was read back from the log in the last 3 s",
                );
            }
        }
    }
}

impl Reader {
    /// A new client, which goes on where the old one stopped.
    fn reopen(&mut self, read_to: i64) {
        tracing::warn!(read_to, "acknowledged heartbeats are not read back: the reader is replaced");
        match self.source.open(Offset::Offset(read_to + 1)) {
            Ok(consumer) => {
                self.consumer = consumer;
                replaced().increment(1);
            }
            Err(error) => tracing::error!(%error, "cannot replace the reader of the topic sales"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sales::sale_catalog::tests::message;
    use rdkafka::mocking::MockCluster;

    #[test]
    fn a_lease_covers_the_epoch_it_has_read_while_it_lasts() {
        let mut known = SaleCatalog::default();
        let (key, value) = message(2, 1, true);
        known.apply(key.as_bytes(), Some(&value), &mut Changed::default());
        let sale = SaleId::parse("s").unwrap();
        let sales = Arc::new(known.sales);
        let lease = |until| Lease { until, sales: sales.clone(), settled: Arc::default() };
        let later = Boottime::now().plus_ms(60_000);
        assert!(lease(later).covers(&sale, Epoch(2)));
        assert!(!lease(later).covers(&sale, Epoch(1)), "an epoch that has ended");
        assert!(!lease(Boottime(1)).covers(&sale, Epoch(2)), "a lease that has run out");
    }

    /// A client that reads nothing although the log acknowledges: one whose partition is paused.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_that_reads_nothing_is_replaced_and_goes_on() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("sales", 1, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let source = Source { brokers: brokers.clone(), name: "g".into(), topic: "sales".into() };
        let consumer = source.open(Offset::Beginning).unwrap();
        consumer.pause(&consumer.assignment().unwrap()).unwrap();
        let (appended, heartbeats) = channel();
        let (leases, stop) = (Leases::new(), CancellationToken::new());
        let _ended = stop.clone().drop_guard(); // also by a failure, which would wait for the reader otherwise
        let health = Health::default();
        let reader =
            Reader { leases: leases.clone(), source, consumer, heartbeats, health, unread_ms_max: 500 };
        let stopped = stop.clone();
        let reading = tokio::task::spawn_blocking(move || reader.run(&stopped));

        let settings =
            kafka::ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
        let producer = Producer::start(&brokers, "g", &settings).unwrap();
        let (key, value) = message(1, 1, true);
        let mut sale = None;
        let begun = std::time::Instant::now();
        while sale.is_none() {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing was read");
            let begun = Boottime::now();
            let message = kafka::Message {
                topic: "sales",
                partition: Some(0),
                key: &key,
                value: Some(&value),
                headers: &[],
            };
            if let Ok(acknowledged) = producer.send(&message).unwrap().await {
                appended.send(Appended { offset: acknowledged.offset, begun }).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            sale = leases.load().sale("s").filter(|_| leases.load().is_valid()).cloned();
        }
        stop.cancel();
        reading.await.unwrap();
    }
}

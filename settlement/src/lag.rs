//! How far settlement is behind the log, from the log's own end, so that it is right also while nothing
//! is consumed at all. A consumer of its own, on a thread of its own; it asks for one record at most. Whoever
//! needs to know the log's end at once has it asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contract::topics::ORDERS;
use metrics::{Gauge, gauge};
use process::kafka::LogContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::sync::watch;

use crate::handles::Handles;

const EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// A partition's gauges.
struct Lag {
    records: Gauge,
    seconds: Gauge,
}

/// The ends of owned partitions, shared by who measures and who needs them.
#[derive(Clone)]
pub struct LogEnds(Arc<Inner>);

struct Inner {
    wanted: Mutex<bool>,
    wake: Condvar,
    /// The end, and when it was asked for.
    ends: watch::Sender<BTreeMap<i32, (Instant, i64)>>,
}

impl Default for LogEnds {
    fn default() -> Self {
        let (wanted, wake, ends) = (Mutex::default(), Condvar::new(), watch::channel(BTreeMap::new()).0);
        Self(Arc::new(Inner { wanted, wake, ends }))
    }
}

impl LogEnds {
    /// The end of a partition's log, asked for after `since`: whatever was acknowledged before lies below it.
    /// `None`: it was not told within `limit`.
    pub async fn after(&self, partition: i32, since: Instant, limit: Duration) -> Option<i64> {
        let mut ends = self.0.ends.subscribe();
        let fresh = |ends: &BTreeMap<i32, (Instant, i64)>| {
            ends.get(&partition).is_some_and(|(asked, _)| *asked >= since)
        };
        if !fresh(&ends.borrow()) {
            *self.wanted() = true;
            self.0.wake.notify_one();
        }
        let told = tokio::time::timeout(limit, ends.wait_for(fresh)).await.ok()?.ok()?;
        told.get(&partition).map(|(_, end)| *end)
    }

    fn told(&self, partition: i32, asked: Instant, end: i64) {
        self.0.ends.send_modify(|ends| {
            ends.insert(partition, (asked, end));
        });
    }

    /// Sleeps until the next measurement is due or wanted.
    fn nap(&self, limit: Duration) -> bool {
        let slept = self.0.wake.wait_timeout_while(self.wanted(), limit, |wanted| !*wanted);
        let (mut wanted, _) = slept.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *wanted)
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, bool> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner) // a flag cannot be half written
    }
}

/// Measures until the process stops. Blocks its thread.
pub fn measure(handles: &Handles) -> Result<(), KafkaError> {
    let Handles { settings, ownership, progress, log_ends, health, stop, .. } = handles;
    let mut config = process::kafka::client(&settings.services.kafka_brokers, "settlement-lag");
    config
        .set("group.id", "none") // never joined
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest") // whether an offset is missing is the consumer's business
        .set("socket.timeout.ms", "2000")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.message.max.bytes", "1024")
        .set("queued.min.messages", "1");
    let consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
    let topic = handles.topic(&ORDERS);
    let mut gauges: BTreeMap<i32, Lag> = BTreeMap::new();
    while !stop.is_cancelled() {
        let owned = ownership.now();
        for (partition, lag) in &gauges {
            if !owned.contains(partition) {
                lag.records.set(0.0);
                lag.seconds.set(0.0);
            }
        }
        let mut result = Ok(());
        if owned.is_empty() {
            result = consumer.fetch_metadata(Some(&topic), TIMEOUT).map(drop);
        }
        for partition in owned.iter().copied() {
            let lag = gauges.entry(partition).or_insert_with(|| register(partition));
            let Some(next) = progress.next_offset(partition) else { continue };
            let asked = Instant::now();
            match behind(&consumer, &topic, partition, next) {
                Ok((records, seconds)) => {
                    log_ends.told(partition, asked, next + records);
                    lag.records.set(records as f64);
                    lag.seconds.set(seconds);
                }
                Err(error) => {
                    result = Err(error);
                    break; // said at once, not after the time-out of each partition
                }
            }
        }
        health.report("kafka", &result);
        // Short naps: the process must end in time.
        for _ in 0..10 {
            if stop.is_cancelled() || log_ends.nap(EVERY / 10) {
                break;
            }
        }
    }
    Ok(())
}

fn register(partition: i32) -> Lag {
    let partition = partition.to_string();
    Lag {
        records: gauge!("settlement_lag_records", "partition" => partition.clone()),
        seconds: gauge!("settlement_lag_seconds", "partition" => partition),
    }
}

/// Records behind the log's end, and the age of the oldest of them in seconds.
fn behind(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partition: i32,
    next: i64,
) -> Result<(i64, f64), KafkaError> {
    let (_, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
    if end <= next {
        return Ok((0, 0.0));
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(next))?;
    consumer.assign(&list)?;
    let written = match consumer.poll(TIMEOUT / 4) {
        Some(Ok(message)) => message.timestamp().to_millis(),
        Some(Err(error)) => return Err(error),
        None => None,
    };
    consumer.unassign()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let age_ms = written.map_or(0, |written| (now - written).max(0));
    Ok((end - next, age_ms as f64 / 1000.0))
}

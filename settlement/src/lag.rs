//! How far settlement is behind the log, from the log's own end, so that it is right also while nothing
//! is consumed at all. A consumer of its own, on a thread of its own; it asks for one record at most.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::topics::ORDERS;
use metrics::{Gauge, gauge};
use process::kafka::LogContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::handles::Handles;

const EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// A partition's gauges.
struct Lag {
    records: Gauge,
    seconds: Gauge,
}

/// Measures until the process stops. Blocks its thread.
pub fn measure(handles: &Handles) -> Result<(), KafkaError> {
    let Handles { settings, ownership, progress, health, stop, .. } = handles;
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
            match behind(&consumer, &topic, partition, next) {
                Ok((records, seconds)) => {
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
            if !stop.is_cancelled() {
                std::thread::sleep(EVERY / 10);
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

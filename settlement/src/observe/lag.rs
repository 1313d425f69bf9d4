//! How far settlement is behind the log, from the log's own end, so that it is right also while nothing
//! is consumed at all. A consumer of its own, on a thread of its own; it asks for one record at most. Whoever
//! needs to know the log's end at once has it asked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::timestamp::Timestamp;
use contract::topics::ORDERS;
use metrics::{Gauge, counter, gauge};
use process::kafka::{LogContext, STALL_MAX};
use process::walltime;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::context::Context;
use crate::context::log_ends::LagMeasurement;

const EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// A partition's gauges.
struct Lag {
    records: Gauge,
    seconds: Gauge,
}

/// Measures until the process stops. Blocks its thread.
pub fn run(context: &Context) -> Result<(), KafkaError> {
    let Context { settings, ownership, progress, log_ends, health, stop, .. } = context;
    let mut config = process::kafka::client(&settings.services.kafka_brokers, "settlement-lag");
    config
        .set("group.id", "none") // never joined
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest") // whether an offset is missing is the consumer's business
        .set("socket.timeout.ms", "2000")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.message.max.bytes", "1024")
        .set("queued.min.messages", "1");
    let mut consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
    let mut heard = Instant::now();
    let topic = context.topic(&ORDERS);
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
                Ok(measured) => {
                    log_ends.record(partition, measured);
                    let behind = measured.settled_until.filter(|_| measured.end > next);
                    lag.records.set((measured.end - next) as f64);
                    lag.seconds.set(behind.map_or(0.0, age_seconds));
                }
                Err(error) => {
                    result = Err(error);
                    break; // said at once, not after the time-out of each partition
                }
            }
        }
        health.report("kafka", &result);
        if result.is_ok() {
            heard = Instant::now();
            log_ends.record_response(heard);
        } else if heard.elapsed() >= STALL_MAX {
            consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
            heard = Instant::now();
            counter!("kafka_clients_replaced_total", "client" => "lag").increment(1);
        }
        // Short naps: the process must end in time.
        for _ in 0..10 {
            if stop.is_cancelled() || log_ends.wait_for_request(EVERY / 10) {
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

/// A partition's end, and since when its oldest unsettled record stands there.
fn behind(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partition: i32,
    next: i64,
) -> Result<LagMeasurement, KafkaError> {
    let (asked, now) = (Instant::now(), walltime::now());
    let (_, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
    let measured = |settled_until| LagMeasurement {
        measured_at: asked,
        end: end.max(next),
        next_offset: next,
        settled_until,
    };
    if end <= next {
        return Ok(measured(Some(now)));
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
    // The producer's clock may be ahead of ours.
    Ok(measured(written.map(|ms| Timestamp(ms.max(0) as u64).min(now))))
}

fn age_seconds(at: Timestamp) -> f64 {
    walltime::now().0.saturating_sub(at.0) as f64 / 1000.0
}

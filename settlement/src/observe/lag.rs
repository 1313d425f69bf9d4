//! The consumer lag: how far settlement is behind the log. It is measured against the log's own end, so that it is
//! right even while nothing is consumed. The measurement has its own Kafka consumer on its own thread, which fetches
//! one record at most. A task that needs the end of the log immediately requests a measurement ([`LogEnds`]).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::timestamp::Timestamp;
use contract::topics::ORDERS;
use metrics::Gauge;
use process::kafka::{CLIENTS_REPLACED, LogContext, Watchdog, WatchdogLimits};
use process::walltime;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::context::Context;
use crate::context::log_ends::{LagMeasurement, LogEnds};

const EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

process::metrics! {
    static LAG_RECORDS: Gauge["partition"] = "settlement_lag_records", "Records of the log that are not settled yet.";
    static LAG_SECONDS: Gauge["partition"] = "settlement_lag_seconds",
        "Age of the oldest record that is not settled yet, in seconds.";
}

/// The gauges of a partition.
struct LagGauges {
    records: Gauge,
    seconds: Gauge,
}

impl LagGauges {
    fn register(partition: i32) -> Self {
        let partition = partition.to_string();
        Self { records: LAG_RECORDS.with([partition.clone()]), seconds: LAG_SECONDS.with([partition]) }
    }

    fn set(&self, measurement: &LagMeasurement) {
        let is_behind = measurement.end > measurement.next_offset;
        let settled_until = measurement.settled_until.filter(|_| is_behind);
        self.records.set((measurement.end - measurement.next_offset) as f64);
        self.seconds.set(settled_until.map_or(0.0, age_seconds));
    }

    fn clear(&self) {
        self.records.set(0.0);
        self.seconds.set(0.0);
    }
}

/// Measures the lag until the process stops. Blocks its thread.
pub fn run(context: &Context) -> Result<(), KafkaError> {
    let config = consumer_config(context);
    let mut consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
    let mut watchdog = Watchdog::<i32>::new(WatchdogLimits::REQUESTS, Instant::now());
    let mut gauges = BTreeMap::new();
    while !context.stop.is_cancelled() {
        let result = measure_owned(context, &consumer, &mut gauges);
        context.health.report("kafka", &result);
        let now = Instant::now();
        if result.is_ok() {
            context.log_ends.record_response(now);
        }
        if let Err(failure) = watchdog.judge([], result.is_ok(), now) {
            consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
            watchdog.restart(now);
            failure.report_replacement(&CLIENTS_REPLACED.with(["lag"]));
        }
        wait_for_next(context, &context.log_ends);
    }
    Ok(())
}

fn consumer_config(context: &Context) -> ClientConfig {
    let mut config = process::kafka::client(&context.settings.services.kafka_brokers, "settlement-lag");
    config
        .set("group.id", "none") // required, but the group is never joined
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest") // the other consumer reports a missing offset
        .set("socket.timeout.ms", "2000")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.message.max.bytes", "1024")
        .set("queued.min.messages", "1");
    config
}

fn measure_owned(
    context: &Context,
    consumer: &BaseConsumer<LogContext>,
    gauges: &mut BTreeMap<i32, LagGauges>,
) -> Result<(), KafkaError> {
    let topic = context.topic(&ORDERS);
    let owned = context.ownership.current();
    for (_, former) in gauges.iter().filter(|(partition, _)| !owned.contains(partition)) {
        former.clear();
    }
    if owned.is_empty() {
        return consumer.fetch_metadata(Some(&topic), TIMEOUT).map(drop);
    }
    for partition in owned.iter().copied() {
        let gauges = gauges.entry(partition).or_insert_with(|| LagGauges::register(partition));
        let Some(next_offset) = context.progress.next_offset(partition) else { continue };
        // The first error ends the round: it is reported at once, not after the timeout of each partition.
        let measurement = measure(consumer, &topic, partition, next_offset)?;
        context.log_ends.record(partition, measurement);
        gauges.set(&measurement);
    }
    Ok(())
}

/// Measures the end of a partition, and when its oldest unsettled record was appended.
fn measure(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partition: i32,
    next_offset: i64,
) -> Result<LagMeasurement, KafkaError> {
    let (measured_at, now) = (Instant::now(), walltime::now());
    let (_, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
    let measurement =
        |settled_until| LagMeasurement { measured_at, end: end.max(next_offset), next_offset, settled_until };
    if end <= next_offset {
        return Ok(measurement(Some(now)));
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(next_offset))?;
    consumer.assign(&list)?;
    let appended_ms = match consumer.poll(TIMEOUT / 4) {
        Some(Ok(message)) => message.timestamp().to_millis(),
        Some(Err(error)) => return Err(error),
        None => None,
    };
    consumer.unassign()?;
    // The producer's clock may be ahead of this one.
    Ok(measurement(appended_ms.map(|ms| Timestamp(ms.max(0) as u64).min(now))))
}

/// Waits until the next measurement is due or requested. The waits are short, so that the process stops in time.
fn wait_for_next(context: &Context, log_ends: &LogEnds) {
    for _ in 0..10 {
        if context.stop.is_cancelled() || log_ends.wait_for_request(EVERY / 10) {
            break;
        }
    }
}

fn age_seconds(at: Timestamp) -> f64 {
    walltime::now().0.saturating_sub(at.0) as f64 / 1000.0
}

//! The consumer lag: how far settlement is behind the log. It is measured against the log's own end, so that it is
//! right even while nothing is consumed. The measurement has its own Kafka consumer on its own thread, which fetches
//! one record at most. A task that needs the end of the log immediately requests a measurement ([`LogEnds`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use contract::timestamp::Timestamp;
use contract::topics::ORDERS;
use metrics::Gauge;
use process::backoff::Backoff;
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
/// The maximum number of remembered ends of a partition: more than an hour of measurements.
const SAMPLES_MAX: usize = 4096;

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
        self.records.set((measurement.end - measurement.next_offset) as f64);
        self.seconds.set(if is_behind { age_seconds(measurement.settled_until) } else { 0.0 });
    }

    /// The partition cannot be measured, or belongs to another process now: any number would be wrong.
    fn set_unknown(&self) {
        self.records.set(f64::NAN);
        self.seconds.set(f64::NAN);
    }
}

/// Measures the lag until the process stops. Blocks its thread.
pub fn run(context: &Context) {
    let config = consumer_config(&context.settings.services.kafka_brokers);
    let mut backoff = Backoff::default();
    while !context.stop.is_cancelled() {
        match Measurer::start(&config, &context.topic(&ORDERS)) {
            Ok(mut measurer) => {
                measure_until_stalled(context, &mut measurer);
                backoff.reset();
            }
            Err(error) => {
                context.health.mark_down("kafka", format!("the lag cannot be measured: {error}"));
                let _ = context.log_ends.wait_for_request(backoff.advance());
            }
        }
    }
}

/// Measures until the process stops, or until the client has to be replaced.
fn measure_until_stalled(context: &Context, measurer: &mut Measurer) {
    let mut watchdog = Watchdog::<i32>::new(WatchdogLimits::REQUESTS, Instant::now());
    let mut gauges = BTreeMap::new();
    while !context.stop.is_cancelled() {
        let has_responded = measure_owned(context, measurer, &mut gauges);
        let now = Instant::now();
        if has_responded {
            context.log_ends.record_response(now);
        }
        if let Err(failure) = watchdog.judge([], has_responded, now) {
            failure.report_replacement(&CLIENTS_REPLACED.with(["lag"]));
            return;
        }
        wait_for_next(context, &context.log_ends);
    }
}

fn consumer_config(brokers: &str) -> ClientConfig {
    let mut config = process::kafka::client(brokers, "settlement-lag");
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

/// Measures all owned partitions. Returns whether Kafka has responded for any of them.
fn measure_owned(context: &Context, measurer: &mut Measurer, gauges: &mut BTreeMap<i32, LagGauges>) -> bool {
    let owned = context.ownership.current();
    for (_, former) in gauges.iter().filter(|(partition, _)| !owned.contains(partition)) {
        former.set_unknown();
    }
    if owned.is_empty() {
        let responded = measurer.consumer.fetch_metadata(Some(&measurer.topic), TIMEOUT);
        context.health.report("kafka", &responded);
        return responded.is_ok();
    }
    let positions =
        owned.iter().filter_map(|partition| Some((*partition, context.progress.next_offset(*partition)?)));
    let (mut has_responded, mut failed) = (false, Vec::new());
    for (partition, measured) in measurer.measure(&positions.collect()) {
        let gauges = gauges.entry(partition).or_insert_with(|| LagGauges::register(partition));
        match measured {
            Ok(measurement) => {
                context.log_ends.record(partition, measurement);
                gauges.set(&measurement);
                has_responded = true;
            }
            Err(error) => {
                gauges.set_unknown();
                failed.push(format!("partition {partition}: {error}"));
            }
        }
    }
    let result = if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) };
    context.health.report("kafka", &result);
    has_responded
}

/// Measures partitions, each by itself: one without a leader costs the others nothing.
struct Measurer {
    consumer: BaseConsumer<LogContext>,
    topic: String,
    /// The ends that were measured before and are not settled, with the time of each: by the clock of this process
    /// alone, whatever the clocks of those that append.
    samples: BTreeMap<i32, VecDeque<(Timestamp, i64)>>,
    /// The partitions that could not be measured the last time.
    failing: BTreeSet<i32>,
}

impl Measurer {
    fn start(config: &ClientConfig, topic: &str) -> Result<Self, KafkaError> {
        let consumer = BaseConsumer::from_config_and_context(config, LogContext)?;
        Ok(Self { consumer, topic: topic.to_owned(), samples: BTreeMap::new(), failing: BTreeSet::new() })
    }

    /// Measures partitions with these next offsets. Those that could not be measured the last time may take the whole
    /// timeout: they are measured beside each other.
    fn measure(&mut self, positions: &BTreeMap<i32, i64>) -> Vec<(i32, Result<LagMeasurement, KafkaError>)> {
        self.samples.retain(|partition, _| positions.contains_key(partition));
        let (consumer, topic, failing) = (&self.consumer, &*self.topic, &self.failing);
        let end = |partition: i32| {
            (partition, Instant::now(), walltime::now(), fetch_end(consumer, topic, partition))
        };
        let ends: Vec<_> = std::thread::scope(|scope| {
            let slow: Vec<_> = (positions.keys().filter(|partition| failing.contains(partition)))
                .map(|partition| scope.spawn(|| end(*partition)))
                .collect();
            let quick = positions
                .keys()
                .filter(|partition| !failing.contains(partition))
                .map(|partition| end(*partition));
            let mut ends: Vec<_> = quick.collect();
            ends.extend(slow.into_iter().filter_map(|thread| thread.join().ok()));
            ends
        });
        self.failing =
            ends.iter().filter(|(.., end)| end.is_err()).map(|(partition, ..)| *partition).collect();
        ends.into_iter()
            .map(|(partition, measured_at, now, end)| {
                let next_offset = positions[&partition];
                (partition, end.and_then(|end| self.complete(partition, next_offset, measured_at, now, end)))
            })
            .collect()
    }

    /// Adds to the end of a partition until when it is settled.
    fn complete(
        &mut self,
        partition: i32,
        next_offset: i64,
        measured_at: Instant,
        now: Timestamp,
        end: i64,
    ) -> Result<LagMeasurement, KafkaError> {
        let samples = self.samples.entry(partition).or_default();
        samples.push_back((now, end));
        let settled_until = match settled_until(samples, next_offset) {
            Some(settled_until) => settled_until,
            // After a takeover, the records are older than any sample: by how much, only their producers' clocks know.
            None => {
                let first = samples.front().map_or(now, |(at, _)| *at);
                let appended = oldest_unsettled(&self.consumer, &self.topic, partition, next_offset)?;
                appended.map_or(first, |appended| appended.min(first))
            }
        };
        Ok(LagMeasurement { measured_at, end: end.max(next_offset), next_offset, settled_until })
    }
}

fn fetch_end(consumer: &BaseConsumer<LogContext>, topic: &str, partition: i32) -> Result<i64, KafkaError> {
    consumer.fetch_watermarks(topic, partition, TIMEOUT).map(|(_, end)| end)
}

/// Returns the time of the last sample whose records are all settled, and forgets those before it.
fn settled_until(samples: &mut VecDeque<(Timestamp, i64)>, next_offset: i64) -> Option<Timestamp> {
    while samples.get(1).is_some_and(|(_, end)| *end <= next_offset) || samples.len() > SAMPLES_MAX {
        samples.pop_front();
    }
    samples.front().filter(|(_, end)| *end <= next_offset).map(|(at, _)| *at)
}

/// Returns when the next record to settle was appended, by its producer's clock.
fn oldest_unsettled(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partition: i32,
    next_offset: i64,
) -> Result<Option<Timestamp>, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(next_offset))?;
    consumer.assign(&list)?;
    let appended_ms = match consumer.poll(TIMEOUT / 4) {
        Some(Ok(message)) => message.timestamp().to_millis(),
        Some(Err(error)) => return Err(error),
        None => None,
    };
    consumer.unassign()?;
    Ok(appended_ms.map(|ms| Timestamp(ms.max(0) as u64)))
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

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn a_partition_is_settled_until_the_last_measurement_whose_records_are_settled() {
        let mut samples = VecDeque::new();
        let mut at = |now, end, next_offset| {
            samples.push_back((Timestamp(now), end));
            settled_until(&mut samples, next_offset).map(|at| at.0)
        };
        assert_eq!(at(1, 10, 5), None, "the records are older than the first measurement");
        assert_eq!(at(2, 20, 9), None);
        assert_eq!(at(3, 30, 10), Some(1));
        assert_eq!(at(4, 30, 25), Some(2));
        assert_eq!(at(5, 30, 30), Some(5));
        assert_eq!(at(6, 40, 30), Some(5), "it does not advance while nothing is settled");
    }

    #[test]
    fn a_partition_without_a_leader_costs_the_others_nothing() {
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic("orders", 3, 1).unwrap();
        for (partition, broker) in [(0, 2), (1, 1), (2, 1)] {
            cluster.partition_leader("orders", partition, Some(broker)).unwrap();
        }
        let config = consumer_config(&cluster.bootstrap_servers());
        let mut measurer = Measurer::start(&config, "orders").unwrap();
        let positions = BTreeMap::from([(0, 0), (1, 0), (2, 0)]);
        assert!(measurer.measure(&positions).iter().all(|(_, measured)| measured.is_ok()));
        cluster.broker_down(2).unwrap();
        for _ in 0..2 {
            let measured: BTreeMap<_, _> = measurer
                .measure(&positions)
                .into_iter()
                .map(|(partition, result)| (partition, result.is_ok()))
                .collect();
            assert_eq!(measured, BTreeMap::from([(0, false), (1, true), (2, true)]));
        }
        cluster.broker_up(2).unwrap();
        let is_back = |measurer: &mut Measurer| {
            measurer.measure(&positions).iter().all(|(_, measured)| measured.is_ok())
        };
        assert!((0..30).any(|_| is_back(&mut measurer)), "the partition is measured again");
    }
}

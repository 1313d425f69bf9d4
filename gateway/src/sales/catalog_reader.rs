//! Reads the topic `sales` on a thread of its own, and extends the lease when one of this gateway's heartbeats
//! has been read back.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use metrics::Counter;
use process::boottime::Boottime;
use process::health::Health;
use process::kafka::{self, LogContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::sales::lease::{LEASE_MS, Lease, Leases};
use crate::sales::sale_catalog::{Changed, SaleCatalog};

/// The consumer is replaced after this time without a message, although the log has acknowledged heartbeats.
const UNREAD_MS_MAX: u64 = 10_000;
/// How long one poll waits for a message.
const POLL: Duration = Duration::from_millis(100);

/// A heartbeat that the log has acknowledged: the reader must read past `offset`.
pub(super) struct Appended {
    pub(super) offset: i64,
    /// When the heartbeat was begun, before it was sent.
    pub(super) begun: Boottime,
}

/// Where the topic is, and which client reads it.
pub(super) struct Source {
    pub(super) brokers: String,
    pub(super) name: String,
    pub(super) topic: String,
}

impl Source {
    fn open(&self, from: Offset) -> Result<BaseConsumer<LogContext>, KafkaError> {
        let consumer: BaseConsumer<LogContext> = kafka::client(&self.brokers, &self.name)
            .set("group.id", format!("{}-sales", self.name)) // required by the client; no group is joined
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

fn replacements() -> Counter {
    process::kafka::CLIENTS_REPLACED.with(["lease"])
}

/// The consumer of the topic, and where its results go.
pub(super) struct CatalogReader {
    leases: Arc<Leases>,
    source: Source,
    consumer: BaseConsumer<LogContext>,
    heartbeats: Receiver<Appended>,
    health: Health,
    unread_ms_max: u64,
}

impl CatalogReader {
    /// Returns a reader that begins with the topic's first message.
    pub(super) fn open(
        leases: Arc<Leases>,
        source: Source,
        heartbeats: Receiver<Appended>,
        health: Health,
    ) -> Result<Self, KafkaError> {
        let consumer = source.open(Offset::Beginning)?;
        Ok(Self { leases, source, consumer, heartbeats, health, unread_ms_max: UNREAD_MS_MAX })
    }

    /// Reads until `stop`. Blocks its thread.
    pub(super) fn run(mut self, stop: &CancellationToken) {
        let _ = replacements(); // registered at 0, so that an alert sees it rise
        let mut last_read = Boottime::now();
        let mut catalog = SaleCatalog::default();
        let mut sales = Arc::new(catalog.sales.clone());
        let mut settled = Arc::new(catalog.settled.clone());
        let mut read_to = -1;
        let mut waiting: Option<Appended> = None;
        while !stop.is_cancelled() {
            let mut changed = Changed::default();
            // All messages that have arrived are applied before the view is published once.
            let mut polled = self.consumer.poll(POLL);
            while let Some(result) = polled {
                match result {
                    Ok(message) => {
                        read_to = message.offset();
                        last_read = Boottime::now();
                        catalog.apply(message.key().unwrap_or_default(), message.payload(), &mut changed);
                    }
                    Err(error) => tracing::debug!(%error, "topic sales could not be read"),
                }
                polled = self.consumer.poll(Duration::ZERO);
            }
            if changed.sales {
                sales = Arc::new(catalog.sales.clone());
            }
            if changed.positions {
                settled = Arc::new(catalog.settled.clone());
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
            // The log acknowledges, and nothing is read back: the consumer has stalled after an outage.
            let unread = waiting.as_ref().map_or(0, |appended| Boottime::now().since_ms(appended.begun));
            if unread > self.unread_ms_max && Boottime::now().since_ms(last_read) > self.unread_ms_max {
                self.reopen(read_to);
                last_read = Boottime::now();
            }
            // A newly read sale is in force at once; only the end of validity comes from the heartbeat.
            self.leases.store(Lease { until, sales: sales.clone(), settled: settled.clone() });
            self.report_health();
        }
    }

    fn report_health(&self) {
        if self.leases.load().is_valid() {
            self.health.mark_up("lease");
        } else {
            self.health.mark_down(
                "lease",
                "no heartbeat of this gateway was read back from the log in the last 3 s",
            );
        }
    }

    /// Replaces the consumer by a new one that resumes at the same offset.
    fn reopen(&mut self, read_to: i64) {
        tracing::warn!(read_to, "acknowledged heartbeats are not read back, replacing the consumer");
        match self.source.open(Offset::Offset(read_to + 1)) {
            Ok(consumer) => {
                self.consumer = consumer;
                replacements().increment(1);
            }
            Err(error) => tracing::error!(%error, "consumer of the topic sales could not be replaced"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use process::kafka::Producer;
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::sales::sale_catalog::tests::message;

    /// Pauses the partition, so that the consumer reads nothing although the log acknowledges.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_consumer_that_reads_nothing_is_replaced_and_resumes() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("sales", 1, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let source = Source { brokers: brokers.clone(), name: "g".into(), topic: "sales".into() };
        let (appended, heartbeats) = channel();
        let (leases, stop) = (Leases::new(), CancellationToken::new());
        let _ended = stop.clone().drop_guard(); // a failed assertion would wait for the reader otherwise
        let mut reader = CatalogReader::open(leases.clone(), source, heartbeats, Health::default()).unwrap();
        reader.unread_ms_max = 500;
        reader.consumer.pause(&reader.consumer.assignment().unwrap()).unwrap();
        let stopped = stop.clone();
        let reading = tokio::task::spawn_blocking(move || reader.run(&stopped));

        let settings =
            kafka::ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
        let producer = Producer::start(&brokers, "g", &settings).unwrap();
        let (key, value) = message(1, 1, true);
        let mut sale = None;
        let started = std::time::Instant::now();
        while sale.is_none() {
            assert!(started.elapsed() < Duration::from_secs(20), "nothing was read");
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

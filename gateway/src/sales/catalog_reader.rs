//! Reads the topic `sales` on a thread of its own, and extends the lease when one of this gateway's heartbeats
//! has been read back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use contract::timestamp::Timestamp;
use process::boottime::Boottime;
use process::health::Health;
use process::kafka::{AssignedConsumer, AssignedConsumerSettings, CLIENTS_REPLACED, WatchdogLimits};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _};
use tokio_util::sync::CancellationToken;

use crate::sales::lease::{LEASE_MS, Lease, Leases};
use crate::sales::sale_catalog::{Changed, SaleCatalog};

process::metrics! {
    static UNREADABLE: Gauge = "gateway_unreadable_publications",
        "Publications of sales that this version cannot read. It does not sell these sales.";
}

/// The end of a lease that has ended.
const LONG_AGO: Boottime = Boottime(1);

/// The only partition of the topic.
const PARTITION: i32 = 0;
/// How long one poll waits for a message.
const POLL: Duration = Duration::from_millis(100);

/// A heartbeat that the log has acknowledged: the reader must read past `offset`.
pub(super) struct Appended {
    pub(super) offset: i64,
    /// When the heartbeat was begun, before it was sent.
    pub(super) begun: Boottime,
}

/// Opens a consumer at the topic's first message. Its client is replaced if acknowledged heartbeats are not read back
/// for `stall_max`.
pub(super) fn open_consumer(
    mut client: ClientConfig,
    topic: String,
    stall_max: Duration,
) -> Result<AssignedConsumer, KafkaError> {
    client.set("auto.offset.reset", "earliest");
    let limits = WatchdogLimits {
        check_interval: POLL,
        stalled: stall_max,
        unassigned: None,
        unresponsive: None, // the producer's acknowledgements show whether the brokers respond
    };
    let replaced = CLIENTS_REPLACED.with(["lease"]); // registered at 0, so that an alert sees it rise
    let settings = AssignedConsumerSettings { client, topic, limits, replaced };
    AssignedConsumer::open(settings, BTreeMap::from([(PARTITION, 0)]))
}

/// The consumer of the topic, and where its results go.
pub(super) struct CatalogReader {
    pub(super) leases: Arc<Leases>,
    pub(super) consumer: AssignedConsumer,
    pub(super) heartbeats: Receiver<Appended>,
    pub(super) health: Health,
}

impl CatalogReader {
    /// Reads until `stop`. Blocks its thread.
    pub(super) fn run(mut self, stop: &CancellationToken) {
        let mut catalog = SaleCatalog::default();
        let mut sales = Arc::new(catalog.sales.clone());
        let mut unreadable = Arc::new(catalog.unknown_sales());
        let mut settled = Arc::new(catalog.settled.clone());
        let mut read_to = -1;
        let mut waiting: Option<Appended> = None;
        while !stop.is_cancelled() {
            let mut changed = Changed::default();
            // All messages that have arrived are applied before the view is published once.
            let mut timeout = POLL;
            loop {
                match self.consumer.poll(timeout) {
                    Ok(None) => break,
                    Ok(Some(message)) => {
                        read_to = message.offset();
                        let written_at = message
                            .timestamp()
                            .to_millis()
                            .and_then(|ms| u64::try_from(ms).ok())
                            .map(Timestamp);
                        let key = message.key().unwrap_or_default();
                        catalog.apply(key, message.payload(), written_at, &mut changed);
                    }
                    Err(error) => tracing::debug!(%error, "topic sales could not be read"),
                }
                timeout = Duration::ZERO;
            }
            if changed.sales {
                sales = Arc::new(catalog.sales.clone());
                unreadable = Arc::new(catalog.unknown_sales());
            }
            UNREADABLE.set(catalog.unreadable_count() as f64);
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
            // If the log acknowledges heartbeats that are not read back, the client has stalled after an outage.
            if let Some(appended) = &waiting {
                self.consumer.check_against_end(PARTITION, appended.offset + 1);
            }
            if !catalog.knows_all_sales() {
                until = until.min(LONG_AGO); // any sale may be the one that has changed
            }
            // A newly read sale is in force at once; only the end of validity comes from the heartbeat.
            let (sales, unreadable, settled) = (sales.clone(), unreadable.clone(), settled.clone());
            self.leases.store(Lease { until, sales, unreadable, settled });
            self.report_health(catalog.knows_all_sales());
        }
    }

    fn report_health(&self, knows_all_sales: bool) {
        let lease = self.leases.load();
        if lease.is_valid() {
            self.health.mark_up("lease");
        } else if !knows_all_sales {
            self.health.mark_down("lease", "the topic `sales` has an undecodable key, see the log");
        } else if lease.has_begun() {
            self.health.mark_down(
                "lease",
                "no heartbeat of this gateway was read back from the log in the last 3 s",
            );
        } else {
            self.health.mark_down("lease", "starting: the sales have not been read from the log yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use process::kafka::{self, Producer};
    use rdkafka::consumer::Consumer as _;
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::sales::sale_catalog::tests::message;

    /// Pauses the partition, so that the consumer reads nothing although the log acknowledges.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_consumer_that_reads_nothing_is_replaced_and_resumes() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("sales", 1, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let (appended, heartbeats) = channel();
        let (leases, stop) = (Leases::new(), CancellationToken::new());
        let _ended = stop.clone().drop_guard(); // a failed assertion would wait for the reader otherwise
        let stall_max = Duration::from_millis(500);
        let consumer = open_consumer(kafka::client(&brokers, "g"), "sales".into(), stall_max).unwrap();
        consumer.client().pause(&consumer.client().assignment().unwrap()).unwrap();
        let reader =
            CatalogReader { leases: leases.clone(), consumer, heartbeats, health: Health::default() };
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

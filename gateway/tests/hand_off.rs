//! Both outcomes of an ambiguous produce request, on librdkafka's mock cluster: whether the log has stored the
//! record or not, nothing is promised and nothing is released.

use std::time::Duration;

use contract::ids::{Epoch, SaleId};
use contract::record::{Headers, RecordType};
use gateway::order::hand_off::{HandOff, HandedOff};
use gateway::sales::lease::Leases;
use lua::outbox::LogRecord;
use process::kafka::{ProduceError, Producer, ProducerSettings};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

const TIMEOUT_MS: u64 = 700;

struct Log {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: Producer,
}

impl Log {
    fn start() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("orders", 1, 1).expect("a topic");
        let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: TIMEOUT_MS, queue_messages_max: 100 };
        let producer = Producer::start(&cluster.bootstrap_servers(), "test", &settings).expect("a producer");
        Self { cluster, producer }
    }

    /// Starts a log that has acknowledged a first record, because an idempotent producer needs a while to initialise.
    async fn start_warm() -> Self {
        let log = Self::start();
        while log.record_count() == 0 {
            let _ = log.produce().await; // the first attempts may time out; only the log counts
        }
        log
    }

    async fn produce(&self) -> Result<process::kafka::Acknowledged, ProduceError> {
        let message = process::kafka::Message {
            topic: "orders",
            partition: Some(0),
            key: "s",
            value: Some(b"{}"),
            headers: &[],
        };
        self.producer.send(&message)?.await
    }

    /// Reads the log to its end and returns the number of records.
    fn record_count(&self) -> usize {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "t")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset("orders", 0, Offset::Beginning).expect("an offset");
        consumer.assign(&partitions).expect("assigned");
        let mut count = 0;
        loop {
            match consumer.poll(testkit::wait::PATIENCE).expect("the log responds") {
                Ok(message) => count = message.offset() as usize + 1,
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => return count,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_acknowledgement_is_lost_is_stored_and_its_outcome_is_unknown() {
    let log = Log::start_warm().await;
    let before = log.record_count();
    log.cluster.broker_round_trip_time(1, Duration::from_secs(3)).expect("a slow broker");
    let slow = log.produce().await;
    assert!(matches!(slow, Err(ProduceError::Unknown(_))), "{slow:?}");
    log.cluster.broker_round_trip_time(1, Duration::ZERO).expect("a fast broker");
    assert_eq!(log.record_count(), before + 1, "the log has stored the record nevertheless");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_never_reached_the_broker_has_the_same_unknown_outcome() {
    let log = Log::start_warm().await;
    let before = log.record_count();
    log.cluster.broker_down(1).expect("down");
    let lost = log.produce().await;
    assert!(matches!(lost, Err(ProduceError::Unknown(_))), "{lost:?}");
    log.cluster.broker_up(1).expect("up");
    assert_eq!(log.record_count(), before, "the log has not stored the record");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_without_a_valid_lease_promises_nothing() {
    let log = Log::start_warm().await;
    let before = log.record_count();
    let hand_off = HandOff::new(log.producer.clone(), log.producer.clone(), "orders".into(), Leases::new());
    let record =
        LogRecord { headers: Headers::with_epoch(RecordType::Barrier, Epoch(1)), value: "{}".into() };
    let sale = SaleId::parse("s").expect("a name");
    assert_eq!(hand_off.start(&sale, Epoch(1), 0, &record).await, HandedOff::Unknown);
    assert_eq!(log.record_count(), before + 1, "the log has stored the record, but the lease is invalid");
}

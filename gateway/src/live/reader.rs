//! The consumer of `order-events`: it begins at the end of each partition. A stalled client is replaced by another one
//! that continues at the same positions, so that no event is skipped.
//!
//! The client itself is queried for the end offsets of the partitions. While Kafka is down, clients are replaced
//! repeatedly: that is cheap, and a new client is no worse than its predecessor.

use std::time::Duration;

use process::kafka::{self, AssignedConsumer, AssignedConsumerSettings, WatchdogLimits};
use process::metric::Counter;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

/// The time for which one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// The topic to consume and the settings of its client.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) brokers: String,
    /// The Kafka client ID.
    pub(super) name: String,
    pub(super) topic: String,
    /// The time without a response or without progress after which a client counts as stalled. It is checked twice in
    /// this time.
    pub(super) stall_max: Duration,
    /// Counts the replaced clients.
    pub(super) replaced: Counter,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("the topic does not exist yet")]
    NoTopic,
    #[error("the next offset has been deleted by retention")]
    OffsetDeleted,
}

/// The consumer and its positions.
pub(super) struct Reader(pub(super) AssignedConsumer);

impl Source {
    /// Opens a reader at the end of each partition, which reads everything that is published afterwards.
    pub(super) fn open(&self) -> Result<Reader, Error> {
        let mut client = kafka::client(&self.brokers, &self.name);
        client.set("auto.offset.reset", "error").set("queued.max.messages.kbytes", "8192");
        let limits = WatchdogLimits {
            check_interval: self.stall_max / 2,
            stalled: self.stall_max,
            unresponsive: Some(self.stall_max),
            ..WatchdogLimits::REQUESTS
        };
        let (topic, replaced) = (self.topic.clone(), self.replaced.clone());
        let opened =
            AssignedConsumer::open_at_end(AssignedConsumerSettings { client, topic, limits, replaced })?;
        opened.map(Reader).ok_or(Error::NoTopic)
    }
}

impl Reader {
    /// Returns the next event, if one arrives within [`POLL`].
    pub(super) fn poll(&mut self) -> Result<Option<BorrowedMessage<'_>>, Error> {
        match self.0.poll(POLL) {
            Ok(message) => Ok(message),
            Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            )) => Err(Error::OffsetDeleted),
            Err(error) => {
                tracing::debug!(%error, "polling order events failed");
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use process::kafka::{Message as Record, Producer, ProducerSettings};
    use rdkafka::Message as _;
    use rdkafka::consumer::Consumer as _;
    use rdkafka::mocking::MockCluster;
    use std::time::Instant;

    use super::*;

    const TOPIC: &str = "order-events";
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Appends numbers to both partitions alternately.
    async fn publish(producer: &Producer, numbers: std::ops::Range<i32>) {
        for number in numbers {
            let value = number.to_string();
            let (partition, value) = (Some(number % 2), Some(value.as_bytes()));
            let record = Record { topic: TOPIC, partition, key: "k", value, headers: &[] };
            producer.send(&record).unwrap().await.unwrap();
        }
    }

    /// Reads the expected count of numbers, and then until a poll returns nothing.
    fn read(reader: &mut Reader, count: usize) -> Vec<i32> {
        let (mut numbers, started) = (vec![], Instant::now());
        loop {
            let number = reader.poll().unwrap().map(|message| {
                std::str::from_utf8(message.payload().unwrap()).unwrap().parse::<i32>().unwrap()
            });
            if number.is_none() && numbers.len() >= count {
                numbers.sort_unstable(); // the partitions are read in any order
                return numbers;
            }
            numbers.extend(number);
            reader.0.check();
            assert!(started.elapsed() < PATIENCE, "only {numbers:?} of {count}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stalled_client_is_replaced_without_a_skipped_or_repeated_event() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 2, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
        let producer = Producer::start(&brokers, "test", &settings).unwrap();
        publish(&producer, 0..2).await; // before the reader opens
        let stall_max = Duration::from_millis(500);
        let (name, topic) = ("test".into(), TOPIC.into());
        let source = Source { brokers, name, topic, stall_max, replaced: Counter::noop() };
        let mut reader = source.open().unwrap();
        publish(&producer, 2..6).await;
        assert_eq!(read(&mut reader, 4), [2, 3, 4, 5]);

        // A client that gets responses but does not receive events.
        let client = reader.0.client();
        client.pause(&client.assignment().unwrap()).unwrap();
        publish(&producer, 6..10).await;
        assert_eq!(read(&mut reader, 4), [6, 7, 8, 9]);

        // A client that gets no responses.
        let (stalled, started) = (reader.0.client().client().native_ptr(), Instant::now());
        cluster.broker_down(1).unwrap();
        while reader.0.client().client().native_ptr() == stalled {
            assert!(reader.poll().unwrap().is_none());
            reader.0.check();
            assert!(started.elapsed() < PATIENCE, "the client is not replaced");
        }
        cluster.broker_up(1).unwrap();
        publish(&producer, 10..14).await;
        assert_eq!(read(&mut reader, 4), [10, 11, 12, 13]);
    }
}

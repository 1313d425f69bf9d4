//! A consumer of `order-events` with a position in each partition. A stalled Kafka client is replaced by another one
//! that continues at the same positions, so that no event is skipped.
//!
//! The client itself is queried for the end offsets of the partitions. It counts as stalled if it gets no response
//! for too long, or if its position does not advance towards a known end. While Kafka is down, clients are replaced
//! repeatedly: that is cheap, and a new client is no worse than its predecessor.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metrics::Counter;
use process::kafka::{self, LogContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

/// The time for which one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// The time limit of one request to the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

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

/// A Kafka client and its positions.
pub(super) struct Reader {
    source: Source,
    consumer: BaseConsumer<LogContext>,
    positions: BTreeMap<i32, Position>,
    checked: Instant,
    answered: Instant,
}

/// The position in one partition.
struct Position {
    next: i64,
    /// The offset at which the client is stalled before the end of the partition, and since when.
    stalled: Option<(i64, Instant)>,
}

impl Source {
    fn client(&self) -> Result<BaseConsumer<LogContext>, KafkaError> {
        kafka::client(&self.brokers, &self.name)
            .set("group.id", format!("{}-live", self.name)) // required by the client but never used, because no group is joined
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", "8192")
            .create_with_context(LogContext)
    }

    /// Opens a reader at the end of each partition, which reads everything that is published afterwards.
    pub(super) fn open(&self) -> Result<Reader, Error> {
        let consumer = self.client()?;
        let metadata = consumer.fetch_metadata(Some(&self.topic), REQUEST_TIMEOUT)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let partitions = topic.map(|topic| topic.partitions()).unwrap_or_default();
        if partitions.is_empty() {
            return Err(Error::NoTopic);
        }
        let end = |partition: i32| {
            let (_, next) = consumer.fetch_watermarks(&self.topic, partition, REQUEST_TIMEOUT)?;
            Ok((partition, Position { next, stalled: None }))
        };
        let positions =
            partitions.iter().map(|partition| end(partition.id())).collect::<Result<_, KafkaError>>()?;
        let now = Instant::now();
        let reader = Reader { source: self.clone(), consumer, positions, checked: now, answered: now };
        reader.assign(&reader.consumer)?;
        Ok(reader)
    }
}

impl Reader {
    /// Assigns the current positions to a client.
    fn assign(&self, consumer: &BaseConsumer<LogContext>) -> Result<(), KafkaError> {
        let mut assigned = TopicPartitionList::new();
        for (partition, position) in &self.positions {
            assigned.add_partition_offset(&self.source.topic, *partition, Offset::Offset(position.next))?;
        }
        consumer.assign(&assigned)
    }

    /// Returns the next event, if one arrives within [`POLL`].
    pub(super) fn poll(&mut self) -> Result<Option<BorrowedMessage<'_>>, Error> {
        match self.consumer.poll(POLL) {
            Some(Ok(message)) => {
                self.positions
                    .insert(message.partition(), Position { next: message.offset() + 1, stalled: None });
                Ok(Some(message))
            }
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => Err(Error::OffsetDeleted),
            Some(Err(error)) => {
                tracing::debug!(%error, "polling order events failed");
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Checks periodically whether the client is stalled, and replaces it if so.
    pub(super) fn check(&mut self) -> Result<(), KafkaError> {
        let stall_max = self.source.stall_max;
        if self.checked.elapsed() < stall_max / 2 {
            return Ok(());
        }
        self.checked = Instant::now();
        let reason = match self.is_stalled() {
            Ok(stalled) => {
                self.answered = Instant::now();
                if !stalled {
                    return Ok(());
                }
                "the end offset advances, but no event is received".to_owned()
            }
            Err(error) if self.answered.elapsed() < stall_max => {
                tracing::debug!(%error, "fetching end offsets failed");
                return Ok(());
            }
            Err(error) => format!("the brokers have not responded for too long: {error}"),
        };
        let fresh = self.source.client()?;
        self.assign(&fresh)?;
        self.consumer = fresh;
        self.positions.values_mut().for_each(|position| position.stalled = None);
        self.answered = Instant::now();
        self.source.replaced.increment(1);
        tracing::warn!(reason, topic = self.source.topic, "replaced the stalled consumer of live updates");
        Ok(())
    }

    /// Returns whether the position in any partition has not advanced towards its end for too long.
    fn is_stalled(&mut self) -> Result<bool, KafkaError> {
        let mut is_stalled = false;
        for (partition, position) in &mut self.positions {
            let (_, end) = self.consumer.fetch_watermarks(&self.source.topic, *partition, REQUEST_TIMEOUT)?;
            position.stalled = match position.stalled {
                _ if end <= position.next => None,
                Some((next, since)) if next == position.next => Some((next, since)),
                _ => Some((position.next, Instant::now())),
            };
            is_stalled |= position.stalled.is_some_and(|(_, since)| since.elapsed() >= self.source.stall_max);
        }
        Ok(is_stalled)
    }
}

#[cfg(test)]
mod tests {
    use process::kafka::{Message as Record, Producer, ProducerSettings};
    use rdkafka::mocking::MockCluster;

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
            reader.check().unwrap();
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
        reader.consumer.pause(&reader.consumer.assignment().unwrap()).unwrap();
        publish(&producer, 6..10).await;
        assert_eq!(read(&mut reader, 4), [6, 7, 8, 9]);

        // A client that gets no responses.
        let (stalled, started) = (reader.consumer.client().native_ptr(), Instant::now());
        cluster.broker_down(1).unwrap();
        while reader.consumer.client().native_ptr() == stalled {
            assert!(reader.poll().unwrap().is_none());
            reader.check().unwrap();
            assert!(started.elapsed() < PATIENCE, "the client is not replaced");
        }
        cluster.broker_up(1).unwrap();
        publish(&producer, 10..14).await;
        assert_eq!(read(&mut reader, 4), [10, 11, 12, 13]);
    }
}

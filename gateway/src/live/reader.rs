//! A client of `order-events` with a place in each partition. One that has lost its way to the brokers is
//! replaced by another that goes on at the same places, so nothing falls between the two.
//!
//! Whether it is lost, it is asked itself: where do the partitions end? A client that gets no answer for too
//! long is lost, and so is one that stays where it is before an end that it knows. While Kafka is away, one
//! after another is replaced: that costs little, and none of them is any worse than the one before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metrics::Counter;
use process::kafka::{self, LogContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// One question to the brokers may take so long.
const ASK_MAX: Duration = Duration::from_secs(1);

/// Which topic is read, and by what kind of client.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) brokers: String,
    /// The client's name.
    pub(super) name: String,
    pub(super) topic: String,
    /// For so long a client may get no answer, or not read what there is. It is checked twice as often.
    pub(super) stall_max: Duration,
    /// Counts clients that were replaced.
    pub(super) replaced: Counter,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("the topic does not exist yet")]
    NoTopic,
    #[error("what comes next is no longer there")]
    Gone,
}

/// A client, and how far it has read.
pub(super) struct Reader {
    source: Source,
    consumer: BaseConsumer<LogContext>,
    places: BTreeMap<i32, Place>,
    checked: Instant,
    answered: Instant,
}

/// Where a partition is read.
struct Place {
    next: i64,
    /// The same, and since when it has been so although the partition goes on.
    stays: Option<(i64, Instant)>,
}

impl Source {
    fn client(&self) -> Result<BaseConsumer<LogContext>, KafkaError> {
        kafka::client(&self.brokers, &self.name)
            .set("group.id", format!("{}-live", self.name)) // required by the client, never used: no group
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", "8192")
            .create_with_context(LogContext)
    }

    /// A reader at the end of each partition: everything published after this it reads.
    pub(super) fn open(&self) -> Result<Reader, Error> {
        let consumer = self.client()?;
        let metadata = consumer.fetch_metadata(Some(&self.topic), ASK_MAX)?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let partitions = topic.map(|topic| topic.partitions()).unwrap_or_default();
        if partitions.is_empty() {
            return Err(Error::NoTopic);
        }
        let end = |partition: i32| {
            let (_, next) = consumer.fetch_watermarks(&self.topic, partition, ASK_MAX)?;
            Ok((partition, Place { next, stays: None }))
        };
        let places =
            partitions.iter().map(|partition| end(partition.id())).collect::<Result<_, KafkaError>>()?;
        let now = Instant::now();
        let reader = Reader { source: self.clone(), consumer, places, checked: now, answered: now };
        reader.begin(&reader.consumer)?;
        Ok(reader)
    }
}

impl Reader {
    /// Has a client read from here on.
    fn begin(&self, consumer: &BaseConsumer<LogContext>) -> Result<(), KafkaError> {
        let mut assigned = TopicPartitionList::new();
        for (partition, place) in &self.places {
            assigned.add_partition_offset(&self.source.topic, *partition, Offset::Offset(place.next))?;
        }
        consumer.assign(&assigned)
    }

    /// The next event, if one comes within a moment.
    pub(super) fn poll(&mut self) -> Result<Option<BorrowedMessage<'_>>, Error> {
        match self.consumer.poll(POLL) {
            Some(Ok(message)) => {
                self.places.insert(message.partition(), Place { next: message.offset() + 1, stays: None });
                Ok(Some(message))
            }
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => Err(Error::Gone),
            Some(Err(error)) => {
                tracing::debug!(%error, "reading the events of orders");
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Now and then looks whether the client is of use, and replaces one that is not.
    pub(super) fn check(&mut self) -> Result<(), KafkaError> {
        let stall_max = self.source.stall_max;
        if self.checked.elapsed() < stall_max / 2 {
            return Ok(());
        }
        self.checked = Instant::now();
        let why = match self.stays_behind() {
            Ok(stays) => {
                self.answered = Instant::now();
                if !stays {
                    return Ok(());
                }
                "the events go on, and it does not read them".to_owned()
            }
            Err(error) if self.answered.elapsed() < stall_max => {
                tracing::debug!(%error, "asking for the ends of the events");
                return Ok(());
            }
            Err(error) => format!("it has had no answer for too long: {error}"),
        };
        let fresh = self.source.client()?;
        self.begin(&fresh)?;
        self.consumer = fresh;
        self.places.values_mut().for_each(|place| place.stays = None);
        self.answered = Instant::now();
        self.source.replaced.increment(1);
        tracing::warn!(why, topic = self.source.topic, "the reader of live updates is replaced");
        Ok(())
    }

    /// Whether a partition that goes on has not been read for too long.
    fn stays_behind(&mut self) -> Result<bool, KafkaError> {
        let mut stays_behind = false;
        for (partition, place) in &mut self.places {
            let (_, end) = self.consumer.fetch_watermarks(&self.source.topic, *partition, ASK_MAX)?;
            place.stays = match place.stays {
                _ if end <= place.next => None,
                Some((next, since)) if next == place.next => Some((next, since)),
                _ => Some((place.next, Instant::now())),
            };
            stays_behind |= place.stays.is_some_and(|(_, since)| since.elapsed() >= self.source.stall_max);
        }
        Ok(stays_behind)
    }
}

#[cfg(test)]
mod tests {
    use process::kafka::{Message as Record, Producer, ProducerSettings};
    use rdkafka::mocking::MockCluster;

    use super::*;

    const TOPIC: &str = "order-events";
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Appends numbers, by turns to both partitions.
    async fn publish(producer: &Producer, numbers: std::ops::Range<i32>) {
        for number in numbers {
            let value = number.to_string();
            let (partition, value) = (Some(number % 2), Some(value.as_bytes()));
            let record = Record { topic: TOPIC, partition, key: "k", value, headers: &[] };
            producer.send(&record).unwrap().await.unwrap();
        }
    }

    /// Reads as many numbers as there are to come, and then for a moment longer.
    fn read(reader: &mut Reader, count: usize) -> Vec<i32> {
        let (mut numbers, begun) = (vec![], Instant::now());
        loop {
            let number = reader.poll().unwrap().map(|message| {
                std::str::from_utf8(message.payload().unwrap()).unwrap().parse::<i32>().unwrap()
            });
            if number.is_none() && numbers.len() >= count {
                numbers.sort_unstable(); // their order is that of the partitions
                return numbers;
            }
            numbers.extend(number);
            reader.check().unwrap();
            assert!(begun.elapsed() < PATIENCE, "only {numbers:?} of {count}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lost_client_is_replaced_by_one_that_leaves_nothing_out_and_repeats_nothing() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 2, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
        let producer = Producer::start(&brokers, "test", &settings).unwrap();
        publish(&producer, 0..2).await; // before anybody reads
        let stall_max = Duration::from_millis(500);
        let (name, topic) = ("test".into(), TOPIC.into());
        let source = Source { brokers, name, topic, stall_max, replaced: Counter::noop() };
        let mut reader = source.open().unwrap();
        publish(&producer, 2..6).await;
        assert_eq!(read(&mut reader, 4), [2, 3, 4, 5]);

        // One that is answered and does not read.
        reader.consumer.pause(&reader.consumer.assignment().unwrap()).unwrap();
        publish(&producer, 6..10).await;
        assert_eq!(read(&mut reader, 4), [6, 7, 8, 9]);

        // One that is not answered.
        let (lost, begun) = (reader.consumer.client().native_ptr(), Instant::now());
        cluster.broker_down(1).unwrap();
        while reader.consumer.client().native_ptr() == lost {
            assert!(reader.poll().unwrap().is_none());
            reader.check().unwrap();
            assert!(begun.elapsed() < PATIENCE, "it is not replaced");
        }
        cluster.broker_up(1).unwrap();
        publish(&producer, 10..14).await;
        assert_eq!(read(&mut reader, 4), [10, 11, 12, 13]);
    }
}

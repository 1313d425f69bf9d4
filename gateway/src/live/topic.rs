//! The reader of `order-events`. Each gateway reads all of it for itself, from the end, on a thread of its
//! own (librdkafka blocks) and only while there are streams: a sale without readers pays nothing.
//!
//! Where it begins is asked for and then assigned, so that it is known from when on nothing is missed. A
//! stream waits for that before it reads its order's history: what was published before is in Postgres
//! already, what is published after comes here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::timestamp::Timestamp;
use metrics::{Counter, counter};
use process::kafka::{self, LogContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::change::{Change, EventId};
use super::registry::Registry;

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);
/// One question to the brokers may take so long.
const ASK_MAX: Duration = Duration::from_secs(1);
/// Between two tries to begin.
const RETRY: Duration = Duration::from_millis(200);
/// Where nothing was read for so long, the brokers are asked whether there is something: a client that has
/// lost its way after an outage is replaced.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How the topic is read.
pub(super) struct Topic {
    pub(super) brokers: String,
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) registry: Arc<Registry>,
}

/// A reader with a position in every partition.
struct Reader {
    consumer: BaseConsumer<LogContext>,
    next: BTreeMap<i32, i64>,
    moved: Instant,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("the topic does not exist yet")]
    NoTopic,
    #[error("what comes next is no longer there")]
    Lost,
}

/// What streams tell of an event.
#[derive(Deserialize)]
struct Event {
    status: OrderStatus,
    #[serde(default)]
    cancel_reason: Option<CancelReason>,
    time: Timestamp,
}

impl Topic {
    /// Reads while it is wanted, until `stop`. Blocks its thread.
    pub(super) fn run(self, stop: &CancellationToken) {
        let told = counter!("live_update_events_total");
        let (mut reader, mut failing) = (None, false);
        while !stop.is_cancelled() {
            if !self.registry.wait_until_wanted(POLL) {
                reader = None;
                continue;
            }
            let read = self.read_some(&mut reader, &told);
            if let Err(error) = &read {
                if !failing {
                    tracing::warn!(%error, topic = self.topic, "live updates are interrupted, trying again");
                }
                if matches!(error, Error::Lost) {
                    // Streams resume from what Postgres has, behind a new beginning.
                    self.registry.set_read(false);
                    self.registry.cut_off_all();
                    reader = None;
                }
                std::thread::sleep(RETRY);
            }
            failing = read.is_err();
        }
    }

    /// Hands over what there is, beginning where that has not happened yet.
    fn read_some(&self, reader: &mut Option<Reader>, told: &Counter) -> Result<(), Error> {
        let current = match reader {
            Some(reader) => reader,
            None => {
                let begun = reader.insert(self.open(None)?);
                self.registry.set_read(true);
                begun
            }
        };
        if self.take_one(current, told)? || current.moved.elapsed() < SILENCE_MAX {
            return Ok(());
        }
        current.moved = Instant::now();
        if current.is_behind(&self.topic)? {
            tracing::warn!(topic = self.topic, "events are not read: the reader is replaced");
            let next = current.next.clone();
            *current = self.open(Some(next))?;
        }
        Ok(())
    }

    /// Hands over the next event; whether there was one.
    fn take_one(&self, reader: &mut Reader, told: &Counter) -> Result<bool, Error> {
        match reader.consumer.poll(POLL) {
            Some(Ok(message)) => {
                reader.next.insert(message.partition(), message.offset() + 1);
                reader.moved = Instant::now();
                if let Some(change) = self.wanted(&message) {
                    told.increment(1);
                    self.registry.tell(&Arc::new(change));
                }
                Ok(true)
            }
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => Err(Error::Lost),
            Some(Err(error)) => {
                tracing::debug!(%error, "reading the events of orders");
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// A new client, at the end or where an earlier one stopped.
    fn open(&self, next: Option<BTreeMap<i32, i64>>) -> Result<Reader, Error> {
        let consumer: BaseConsumer<LogContext> = kafka::client(&self.brokers, &self.name)
            .set("group.id", format!("{}-live", self.name)) // required by the client, never used: no group
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", "8192")
            .create_with_context(LogContext)?;
        let next = match next {
            Some(next) => next,
            None => {
                let metadata = consumer.fetch_metadata(Some(&self.topic), ASK_MAX)?;
                let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
                let partitions = topic.map(|topic| topic.partitions()).unwrap_or_default();
                if partitions.is_empty() {
                    return Err(Error::NoTopic);
                }
                let end = |partition: i32| {
                    let (_, end) = consumer.fetch_watermarks(&self.topic, partition, ASK_MAX)?;
                    Ok((partition, end))
                };
                partitions.iter().map(|partition| end(partition.id())).collect::<Result<_, KafkaError>>()?
            }
        };
        let mut assigned = TopicPartitionList::new();
        for (partition, offset) in &next {
            assigned.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
        }
        consumer.assign(&assigned)?;
        Ok(Reader { consumer, next, moved: Instant::now() })
    }

    /// A change that a stream waits for. Of most orders nobody asks: their events are passed over by the key.
    fn wanted(&self, message: &BorrowedMessage<'_>) -> Option<Change> {
        let order_id: OrderId = std::str::from_utf8(message.key()?).ok()?.parse().ok()?;
        if !self.registry.is_followed(&order_id) {
            return None;
        }
        let header = |name: &str| message.headers()?.iter().find(|header| header.key == name)?.value;
        let id = header("ce_id").and_then(|id| std::str::from_utf8(id).ok()?.parse::<EventId>().ok());
        let event = serde_json::from_slice::<Event>(message.payload().unwrap_or_default());
        let (Some(id), Ok(event)) = (id, &event) else {
            let error = event.err().map(|error| error.to_string());
            tracing::error!(%order_id, offset = message.offset(), ?error, "an event of this order is not legible");
            return None;
        };
        let Event { status, cancel_reason, time } = *event;
        Some(Change { order_id, id: Some(id), status, cancel_reason, at: time })
    }
}

impl Reader {
    /// Whether the brokers have more than was read.
    fn is_behind(&self, topic: &str) -> Result<bool, KafkaError> {
        for (partition, next) in &self.next {
            if self.consumer.fetch_watermarks(topic, *partition, ASK_MAX)?.1 > *next {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

//! A producer whose callers await the acknowledgement of each message. `acks=all` and idempotence are not
//! configurable: without them a 202 would guarantee nothing.
//!
//! An idempotent producer can reach a fatal state, and one that has lost all brokers may never find them again. Its
//! client is then replaced: new messages use the new client, and the old one exists until each of its messages has a
//! result.
//!
//! The judgement is not the consumers' [`Watchdog`](super::Watchdog), which one thread owns and calls periodically. A
//! producer is used by many tasks at once: each acknowledgement stores one number without a lock, and a check is due
//! only when a message fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use metrics::Counter;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use super::{CLIENTS_REPLACED, STALL_MAX};

/// The settings of a producer.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    /// How long to wait for more messages before sending, in milliseconds.
    pub linger_ms: f64,
    /// The time without acknowledgement after which the outcome is unknown, in milliseconds.
    pub timeout_ms: u64,
    /// The maximum number of messages in the client's queue.
    pub queue_messages_max: usize,
}

impl ProducerSettings {
    /// Returns the client's configuration, to which callers can add settings.
    pub fn config(&self, brokers: &str, name: &str) -> rdkafka::ClientConfig {
        let mut config = super::client(brokers, name);
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", self.linger_ms.to_string())
            .set("message.timeout.ms", self.timeout_ms.to_string())
            .set("request.timeout.ms", self.timeout_ms.to_string())
            .set("socket.timeout.ms", (self.timeout_ms + 1000).max(2000).to_string())
            .set("queue.buffering.max.messages", self.queue_messages_max.to_string())
            .set("queue.buffering.max.kbytes", "262144")
            .set("message.max.bytes", "4194304")
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "200")
            .set("compression.codec", "none");
        config
    }
}

/// One message to produce.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The topic of the message.
    pub topic: &'a str,
    /// The partition; `None` to select it by the key's hash.
    pub partition: Option<i32>,
    /// The message's key.
    pub key: &'a str,
    /// The message's value; `None` deletes the key from a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The message's headers.
    pub headers: &'a [(&'a str, String)],
}

/// The position of an acknowledged message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The message's partition.
    pub partition: i32,
    /// The message's offset.
    pub offset: i64,
}

/// The reason why a message was not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProduceError {
    /// The message was not queued by the client, so it is certainly not in the log.
    #[error("not produced: {0}")]
    NotProduced(KafkaError),
    /// The message may be in the log.
    #[error("the outcome is not known: {0}")]
    Unknown(KafkaError),
    /// The producer was dropped before the outcome was known.
    #[error("the producer ended before the outcome was known")]
    Ended,
}

impl ProduceError {
    /// Returns a short name for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotProduced(_) => "not_produced",
            Self::Unknown(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)) => "timed_out",
            Self::Unknown(_) => "unknown",
            Self::Ended => "ended",
        }
    }
}

type ResultSender = oneshot::Sender<Result<Acknowledged, KafkaError>>;

struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log::write(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka producer reported an error");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<ResultSender>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, sender: Box<ResultSender>) {
        let result = match delivery {
            Ok(message) => Ok(Acknowledged { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        let _ = sender.send(result); // the caller may have stopped waiting
    }
}

/// One client of librdkafka.
struct Client {
    inner: ThreadedProducer<Context>,
    started: Instant,
    /// When the log last acknowledged a message, in milliseconds since the start.
    acknowledged_ms: AtomicU64,
}

impl Client {
    fn start(config: &rdkafka::ClientConfig) -> Result<Self, KafkaError> {
        let inner = ThreadedProducer::from_config_and_context(config, Context)?;
        Ok(Self { inner, started: Instant::now(), acknowledged_ms: AtomicU64::new(0) })
    }

    fn record_acknowledgement(&self) {
        self.acknowledged_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn since_acknowledgement(&self) -> Duration {
        let acknowledged = Duration::from_millis(self.acknowledged_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(acknowledged)
    }
}

/// A producer. Clones share its client.
#[derive(Clone)]
pub struct Producer {
    config: Arc<rdkafka::ClientConfig>,
    current: Arc<ArcSwap<Client>>,
    stall_max: Duration,
    replaced: Counter,
}

impl Producer {
    /// Starts a producer, which connects in the background.
    pub fn start(brokers: &str, name: &str, settings: &ProducerSettings) -> Result<Self, KafkaError> {
        Self::from_config(settings.config(brokers, name))
    }

    /// Starts a producer with a given configuration, with which tests inject faults.
    pub fn from_config(config: rdkafka::ClientConfig) -> Result<Self, KafkaError> {
        let current = Arc::new(ArcSwap::from_pointee(Client::start(&config)?));
        let replaced = CLIENTS_REPLACED.with(["producer"]);
        Ok(Self { config: Arc::new(config), current, stall_max: STALL_MAX, replaced })
    }

    /// Sets the time without acknowledgement after which the client is replaced, instead of [`STALL_MAX`] (for tests).
    pub fn with_stall_max(self, stall_max: Duration) -> Self {
        Self { stall_max, ..self }
    }

    /// Passes a message to the client, which preserves the order per partition. The future returns the outcome, at the
    /// latest after the configured timeout.
    pub fn send(
        &self,
        message: &Message<'_>,
    ) -> Result<impl Future<Output = Result<Acknowledged, ProduceError>> + Send + use<>, ProduceError> {
        let (sender, outcome) = oneshot::channel();
        let headers = message
            .headers
            .iter()
            .fold(OwnedHeaders::new_with_capacity(message.headers.len()), |all, (key, value)| {
                all.insert(Header { key, value: Some(value.as_bytes()) })
            });
        let mut record =
            BaseRecord::with_opaque_to(message.topic, Box::new(sender)).key(message.key).headers(headers);
        if let Some(value) = message.value {
            record = record.payload(value);
        }
        if let Some(partition) = message.partition {
            record = record.partition(partition);
        }
        let client = self.current.load_full();
        if let Err((error, _)) = client.inner.send(record) {
            self.replace_if_failed(&client);
            return Err(ProduceError::NotProduced(error));
        }
        let this = self.clone();
        Ok(async move {
            match outcome.await {
                Ok(Ok(acknowledged)) => {
                    client.record_acknowledgement();
                    Ok(acknowledged)
                }
                Ok(Err(error)) => {
                    this.replace_if_failed(&client);
                    Err(ProduceError::Unknown(error))
                }
                Err(_) => Err(ProduceError::Ended),
            }
        })
    }

    /// Returns the number of messages whose outcome is not known yet.
    pub fn in_flight(&self) -> usize {
        self.current.load().inner.in_flight_count().max(0) as usize
    }

    /// Waits until the outcome of each message is known. Blocks the thread.
    pub fn flush(&self, limit: Duration) -> Result<(), KafkaError> {
        self.current.load().inner.flush(limit)
    }

    /// Replaces the client if it failed permanently, or if it has received no acknowledgement for too long.
    fn replace_if_failed(&self, failed: &Arc<Client>) {
        match failed.inner.client().fatal_error() {
            Some((code, why)) => self.replace(failed, &format!("fatal error: {code}: {why}")),
            None if failed.since_acknowledgement() >= self.stall_max => {
                self.replace(failed, "no message was acknowledged for too long");
            }
            None => {}
        }
    }

    fn replace(&self, failed: &Arc<Client>, why: &str) {
        let fresh = match Client::start(&self.config) {
            Ok(fresh) => Arc::new(fresh),
            Err(error) => return tracing::error!(%error, "cannot replace the Kafka producer"),
        };
        let before = self.current.compare_and_swap(failed, fresh);
        if Arc::ptr_eq(&before, failed) {
            self.replaced.increment(1);
            tracing::warn!(why, "replaced the Kafka producer");
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    /// A client without acknowledgements for too long is replaced, and the new one works.
    #[tokio::test]
    async fn a_stalled_producer_is_replaced() -> Result<(), Box<dyn std::error::Error>> {
        let cluster = MockCluster::new(1)?;
        cluster.create_topic("t", 1, 1)?;
        let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 500, queue_messages_max: 10 };
        let producer = Producer::start(&cluster.bootstrap_servers(), "test", &settings)?;
        let producer = producer.with_stall_max(Duration::from_millis(1500));
        let message = Message { topic: "t", partition: Some(0), key: "k", value: Some(b"v"), headers: &[] };
        while producer.send(&message)?.await.is_err() {} // a busy machine may take longer to connect
        let first = producer.current.load_full();
        cluster.broker_down(1)?;
        first.record_acknowledgement();
        assert!(matches!(producer.send(&message)?.await, Err(ProduceError::Unknown(_))));
        let replaced = async {
            while Arc::ptr_eq(&first, &producer.current.load_full()) {
                assert!(producer.send(&message)?.await.is_err());
            }
            Ok::<_, ProduceError>(())
        };
        tokio::time::timeout(Duration::from_secs(10), replaced).await??;
        cluster.broker_up(1)?;
        let delivered = async {
            while producer.send(&message)?.await.is_err() {}
            Ok::<_, ProduceError>(())
        };
        tokio::time::timeout(Duration::from_secs(10), delivered).await??;
        Ok(())
    }
}

//! A producer whose caller awaits the log's acknowledgement. `acks=all` and idempotence are not
//! settings here: without them a 202 would promise nothing.
//!
//! An idempotent producer can end in a fatal state, and one that has lost all brokers may never find them
//! again. It is then replaced: the old one lives on until each of its messages has its answer, and new
//! messages take the new one.

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

/// How a message is to be sent.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    /// How long to wait for more messages before sending, in milliseconds.
    pub linger_ms: f64,
    /// After this long without acknowledgement the outcome is unknown, in milliseconds.
    pub timeout_ms: u64,
    /// Messages that may wait in the client's queue.
    pub queue_messages_max: usize,
}

impl ProducerSettings {
    /// The client's configuration, for callers who add to it.
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

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// To which topic.
    pub topic: &'a str,
    /// To which partition; `None`: by the key's hash.
    pub partition: Option<i32>,
    /// Its key.
    pub key: &'a str,
    /// Its value; `None` deletes the key from a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [(&'a str, String)],
}

/// Where the log put a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Why there was no acknowledgement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProduceError {
    /// The message never entered the client's queue: it is certainly not in the log.
    #[error("not produced: {0}")]
    NotProduced(KafkaError),
    /// It may be in the log.
    #[error("the outcome is not known: {0}")]
    Unknown(KafkaError),
    /// The producer went away before it knew.
    #[error("the producer ended before the outcome was known")]
    Ended,
}

impl ProduceError {
    /// A short name for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotProduced(_) => "not_produced",
            Self::Unknown(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)) => "timed_out",
            Self::Unknown(_) => "unknown",
            Self::Ended => "ended",
        }
    }
}

type Answer = oneshot::Sender<Result<Acknowledged, KafkaError>>;

struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log::write(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Answer>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, answer: Box<Answer>) {
        let result = match delivery {
            Ok(message) => Ok(Acknowledged { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        let _ = answer.send(result); // whoever asked may have stopped waiting
    }
}

/// One client of the library.
struct Client {
    inner: ThreadedProducer<Context>,
    started: Instant,
    /// When the log last acknowledged anything, in milliseconds since the start.
    heard_ms: AtomicU64,
}

impl Client {
    fn start(config: &rdkafka::ClientConfig) -> Result<Self, KafkaError> {
        let inner = ThreadedProducer::from_config_and_context(config, Context)?;
        Ok(Self { inner, started: Instant::now(), heard_ms: AtomicU64::new(0) })
    }

    fn heard(&self) {
        self.heard_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn silent(&self) -> Duration {
        let heard = Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(heard)
    }
}

/// A producer; clones share it.
#[derive(Clone)]
pub struct Producer {
    config: Arc<rdkafka::ClientConfig>,
    current: Arc<ArcSwap<Client>>,
    stall_max: Duration,
    replaced: Counter,
}

impl Producer {
    /// Starts it; connecting goes on in the background.
    pub fn start(brokers: &str, name: &str, settings: &ProducerSettings) -> Result<Self, KafkaError> {
        Self::from_config(settings.config(brokers, name))
    }

    /// With a configuration of the caller's: tests inject faults with it.
    pub fn from_config(config: rdkafka::ClientConfig) -> Result<Self, KafkaError> {
        let current = Arc::new(ArcSwap::from_pointee(Client::start(&config)?));
        // Shown from the start, so that an alert has a 0 to rise from.
        let replaced = CLIENTS_REPLACED.with(["producer"]);
        Ok(Self { config: Arc::new(config), current, stall_max: STALL_MAX, replaced })
    }

    /// Replaces its client after another time of time-outs and nothing else than [`STALL_MAX`] (tests).
    pub fn with_stall_max(self, stall_max: Duration) -> Self {
        Self { stall_max, ..self }
    }

    /// Hands a message to the client, which keeps the order per partition. The future ends with the
    /// log's answer, at the latest after the configured time-out.
    pub fn send(
        &self,
        message: &Message<'_>,
    ) -> Result<impl Future<Output = Result<Acknowledged, ProduceError>> + Send + use<>, ProduceError> {
        let (answer, answered) = oneshot::channel();
        let headers = message
            .headers
            .iter()
            .fold(OwnedHeaders::new_with_capacity(message.headers.len()), |all, (key, value)| {
                all.insert(Header { key, value: Some(value.as_bytes()) })
            });
        let mut record =
            BaseRecord::with_opaque_to(message.topic, Box::new(answer)).key(message.key).headers(headers);
        if let Some(value) = message.value {
            record = record.payload(value);
        }
        if let Some(partition) = message.partition {
            record = record.partition(partition);
        }
        let client = self.current.load_full();
        if let Err((error, _)) = client.inner.send(record) {
            self.replace_if_useless(&client);
            return Err(ProduceError::NotProduced(error));
        }
        let this = self.clone();
        Ok(async move {
            match answered.await {
                Ok(Ok(acknowledged)) => {
                    client.heard();
                    Ok(acknowledged)
                }
                Ok(Err(error)) => {
                    this.replace_if_useless(&client);
                    Err(ProduceError::Unknown(error))
                }
                Err(_) => Err(ProduceError::Ended),
            }
        })
    }

    /// Messages without an answer so far.
    pub fn in_flight(&self) -> usize {
        self.current.load().inner.in_flight_count().max(0) as usize
    }

    /// Waits until each message has its answer. Blocks the thread.
    pub fn flush(&self, limit: Duration) -> Result<(), KafkaError> {
        self.current.load().inner.flush(limit)
    }

    /// After messages without acknowledgement.
    fn replace_if_useless(&self, failed: &Arc<Client>) {
        match failed.inner.client().fatal_error() {
            Some((code, why)) => self.replace(failed, &format!("it failed for good: {code}: {why}")),
            None if failed.silent() >= self.stall_max => {
                self.replace(failed, "nothing was acknowledged for too long");
            }
            None => {}
        }
    }

    fn replace(&self, failed: &Arc<Client>, why: &str) {
        let fresh = match Client::start(&self.config) {
            Ok(fresh) => Arc::new(fresh),
            Err(error) => return tracing::error!(%error, "cannot replace a producer"),
        };
        let before = self.current.compare_and_swap(failed, fresh);
        if Arc::ptr_eq(&before, failed) {
            self.replaced.increment(1);
            tracing::warn!(why, "the producer is replaced");
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    /// A client that gets no answer for too long is replaced, and the new one goes on.
    #[tokio::test]
    async fn a_silent_producer_is_replaced() -> Result<(), Box<dyn std::error::Error>> {
        let cluster = MockCluster::new(1)?;
        cluster.create_topic("t", 1, 1)?;
        let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 500, queue_messages_max: 10 };
        let producer = Producer::start(&cluster.bootstrap_servers(), "test", &settings)?;
        let producer = producer.with_stall_max(Duration::from_millis(1500));
        let message = Message { topic: "t", partition: Some(0), key: "k", value: Some(b"v"), headers: &[] };
        while producer.send(&message)?.await.is_err() {} // a busy machine may take longer to connect
        let first = producer.current.load_full();
        cluster.broker_down(1)?;
        first.heard();
        assert!(matches!(producer.send(&message)?.await, Err(ProduceError::Unknown(_))));
        let replaced = async {
            while Arc::ptr_eq(&first, &producer.current.load_full()) {
                assert!(producer.send(&message)?.await.is_err());
            }
            Ok::<_, ProduceError>(())
        };
        tokio::time::timeout(Duration::from_secs(10), replaced).await??;
        cluster.broker_up(1)?;
        let answered = async {
            while producer.send(&message)?.await.is_err() {}
            Ok::<_, ProduceError>(())
        };
        tokio::time::timeout(Duration::from_secs(10), answered).await??;
        Ok(())
    }
}

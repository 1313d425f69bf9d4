//! Lists a group's dead letters and replays them. A replayed event goes to `<group>.retry` with no tries used, and a
//! marker record behind it in `<group>.dead-letter` records the replay.
//!
//! `GET /dead-letters`, and `POST /dead-letters/{partition}-{offset}/replay`, on the group's own listener.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use contract::timestamp::Timestamp;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use process::kafka::{LogContext, Message, ProduceError, Producer};
use process::settings::Services;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::Group;
use super::envelope::{Envelope, REPLAY_OF};
use crate::host::{Host, ListenError, respond};

/// The number of records that are read from the end of each partition.
const READ_MAX: i64 = 2000;
/// The time limit of a request to the brokers.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for reading all partitions.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// The reason why dead letters cannot be listed or replayed.
#[derive(Debug, thiserror::Error)]
enum DeadLetterError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Produce(#[from] ProduceError),
    #[error("the brokers took too long")]
    Timeout,
    #[error("there is no such dead letter")]
    Unknown,
}

/// The HTTP API of a group's dead letters.
#[derive(Clone)]
pub struct DeadLetterApi {
    services: Services,
    group: Group,
    producer: Producer,
}

/// A dead letter, or the marker of a replay.
struct DeadLetter {
    partition: i32,
    offset: i64,
    at: Option<i64>,
    envelope: Envelope,
}

impl DeadLetterApi {
    /// Creates the API of a group. The producer publishes replayed events.
    pub fn new(services: &Services, group: Group, producer: Producer) -> Self {
        Self { services: services.clone(), group, producer }
    }

    /// Serves the API beside metrics and health checks.
    pub async fn serve(self, host: &Host, listen: SocketAddr) -> Result<(), ListenError> {
        let handler = move |request: Request<Incoming>| {
            let this = self.clone();
            async move { this.respond(request.method(), request.uri().path()).await }
        };
        host.serve(listen, handler).await.map(drop)
    }

    /// Responds to a request. Returns `None` for a path that does not belong to the API.
    pub async fn respond(&self, method: &Method, path: &str) -> Option<Response<Full<Bytes>>> {
        let path = path.strip_prefix("/dead-letters")?;
        let result = if path.is_empty() && method == Method::GET {
            self.list().await
        } else {
            let id = path.strip_prefix('/')?.strip_suffix("/replay")?;
            if method != Method::POST {
                let body = json!({ "error": "the method must be POST" });
                return Some(respond(StatusCode::METHOD_NOT_ALLOWED, &body));
            }
            self.replay(id).await
        };
        Some(match result {
            Ok(body) => respond(StatusCode::OK, &body),
            Err(error @ DeadLetterError::Unknown) => {
                respond(StatusCode::NOT_FOUND, &json!({ "error": error.to_string() }))
            }
            Err(error) => respond(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": error.to_string() })),
        })
    }

    async fn list(&self) -> Result<Value, DeadLetterError> {
        let letters = self.read(None).await?;
        let replay_of = |letter: &DeadLetter| letter.envelope.header(REPLAY_OF).map(str::to_string);
        let replayed: HashSet<String> = letters.iter().filter_map(replay_of).collect();
        let listed: Vec<_> = letters
            .iter()
            .filter(|letter| letter.envelope.header(REPLAY_OF).is_none())
            .map(|letter| letter.to_json(&replayed))
            .collect();
        Ok(json!({ "group": self.group.name, "dead_letters": listed }))
    }

    async fn replay(&self, id: &str) -> Result<Value, DeadLetterError> {
        let position = id.split_once('-').and_then(|(p, o)| Some((p.parse().ok()?, o.parse().ok()?)));
        let (partition, offset) = position.ok_or(DeadLetterError::Unknown)?;
        let letters = self.read(Some((partition, offset))).await?;
        let letter = letters.into_iter().next().ok_or(DeadLetterError::Unknown)?;
        if letter.envelope.header(REPLAY_OF).is_some() {
            return Err(DeadLetterError::Unknown);
        }
        let mut envelope = letter.envelope;
        envelope.attempts = 0;
        envelope.reason = format!("replayed from dead letter {id}");
        envelope.not_before = Timestamp(0);
        let retry_topic = self.services.topic(self.group.retry.name);
        let dead_letter_topic = self.services.topic(self.group.dead_letters.name);
        let headers = envelope.encode_headers();
        self.producer.send(&envelope.to_message(&retry_topic, partition, &headers))?.await?;
        let headers = [(REPLAY_OF, id.to_string())];
        let marker = Message {
            topic: &dead_letter_topic,
            partition: Some(partition),
            key: &envelope.key,
            value: None,
            headers: &headers,
        };
        self.producer.send(&marker)?.await?;
        tracing::info!(id, source = envelope.source, "replayed a dead letter");
        Ok(json!({ "id": id, "replayed": true }))
    }

    /// Reads the newest records of each partition, or only the requested one.
    async fn read(&self, only: Option<(i32, i64)>) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let (services, topic) = (self.services.clone(), self.services.topic(self.group.dead_letters.name));
        let partitions = self.group.dead_letters.partitions.unwrap_or(1);
        let read = tokio::task::spawn_blocking(move || read(&services, &topic, partitions, only));
        read.await.map_err(|_| DeadLetterError::Timeout)?
    }
}

impl DeadLetter {
    fn to_json(&self, replayed: &HashSet<String>) -> Value {
        let Self { partition, offset, at, envelope } = self;
        let id = format!("{partition}-{offset}");
        let value = serde_json::from_slice::<Value>(&envelope.value)
            .unwrap_or_else(|_| String::from_utf8_lossy(&envelope.value).into());
        json!({
            "replayed": replayed.contains(&id),
            "id": id,
            "at": at.map(|ms| Timestamp(ms.max(0) as u64)),
            "source": envelope.source,
            "key": envelope.key,
            "event_id": envelope.header("ce_id"),
            "event_type": envelope.header("ce_type"),
            "attempts": envelope.attempts,
            "reason": envelope.reason,
            "event": value,
        })
    }
}

fn read(
    services: &Services,
    topic: &str,
    partitions: i32,
    only: Option<(i32, i64)>,
) -> Result<Vec<DeadLetter>, DeadLetterError> {
    let mut config = process::kafka::client(&services.kafka_brokers, "dead-letters");
    config.set("group.id", "none").set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    let consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
    let (mut list, mut ends) = (TopicPartitionList::new(), HashSet::new());
    for partition in 0..partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
        let from = match only {
            Some((wanted, offset)) if wanted == partition => offset,
            Some(_) => continue,
            None => low.max(high - READ_MAX),
        };
        if (low..high).contains(&from) {
            list.add_partition_offset(topic, partition, Offset::Offset(from))?;
            ends.insert((partition, only.map_or(high - 1, |(_, offset)| offset)));
        }
    }
    if only.is_some() && ends.is_empty() {
        return Err(DeadLetterError::Unknown);
    }
    consumer.assign(&list)?;
    let (mut letters, started) = (Vec::new(), Instant::now());
    while !ends.is_empty() {
        if started.elapsed() > READ_WITHIN {
            return Err(DeadLetterError::Timeout);
        }
        let Some(message) = consumer.poll(Duration::from_millis(100)).transpose()? else { continue };
        let (partition, offset) = (message.partition(), message.offset());
        ends.retain(|(unread, end)| *unread != partition || offset < *end);
        if only.is_none_or(|(_, wanted)| wanted == offset) {
            let at = message.timestamp().to_millis();
            letters.push(DeadLetter { partition, offset, at, envelope: Envelope::from_record(&message) });
        }
    }
    letters.sort_by_key(|letter| (letter.partition, letter.offset));
    Ok(letters)
}

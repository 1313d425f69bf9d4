//! What happened to orders and stock, from Postgres into the topics `order-events` and
//! `inventory-events`: at least once, in order per key, each event with an id of its own that is the
//! same at every delivery. It follows the settle loop and never holds it up: it has a task, a connection
//! and a producer of its own.

use std::time::Duration;

use contract::topics::{INVENTORY_EVENTS, ORDER_EVENTS};
use deadpool_postgres::{Object, Pool};
use metrics::{Counter, counter};
use process::kafka::{ProduceError, Producer, ProducerSettings};
use process::settings::Services;
use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::database::DatabaseError;
use crate::event::{Event, Told};
use crate::ownership::Ownership;
use crate::progress::Progress;

/// Events that are read and told at once.
const EVENTS_MAX: i64 = 2000;
/// Looks for events so often even if nobody says that there are any.
const EVERY: Duration = Duration::from_secs(2);
/// Between two looks while events come in: fewer, fuller batches.
const GATHER: Duration = Duration::from_millis(50);
/// Events are not what a customer waits for: messages gather, and are compressed.
const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 20.0, timeout_ms: 10_000, queue_messages_max: 100_000 };

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the event topics: {0}")]
    Produce(#[from] ProduceError),
    #[error("another process publishes partition {0}")]
    Fenced(i32),
}
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// The producer of events.
pub fn producer(services: &Services) -> Result<Producer, KafkaError> {
    let mut config = PRODUCER.config(&services.kafka_brokers, "settlement-events");
    config
        .set("compression.codec", "lz4")
        .set("batch.num.messages", "10000")
        .set("batch.size", "524288")
        .set("partitioner", "murmur2_random"); // as Kafka's own clients choose partitions
    Producer::from_config(config)
}

/// Publishes the events of owned partitions until `stop`.
pub async fn run(
    pool: Pool,
    services: Services,
    producer: Producer,
    ownership: Ownership,
    progress: Progress,
    stop: CancellationToken,
) {
    let mut publisher = Publisher {
        pool,
        client: None,
        producer,
        order_topic: services.topic(ORDER_EVENTS.name),
        inventory_topic: services.topic(INVENTORY_EVENTS.name),
        published: counter!("events_published_total"),
    };
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        match publisher.publish(&ownership.now(), &stop).await {
            Ok(0) => {
                backoff.reset();
                let woken = async { drop(tokio::time::timeout(EVERY, progress.events()).await) };
                stop.run_until_cancelled(woken).await;
                stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
            }
            Ok(_) => {
                backoff.reset();
                stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
            }
            Err(error) => {
                publisher.client = None;
                tracing::warn!(%error, "publishing events is interrupted, trying again");
                backoff.pause(&stop).await;
            }
        }
    }
}

struct Publisher {
    pool: Pool,
    client: Option<Object>,
    producer: Producer,
    order_topic: String,
    inventory_topic: String,
    published: Counter,
}

impl Publisher {
    /// Tells everything that is new in these partitions; returns how many events that was.
    async fn publish(&mut self, partitions: &[i32], stop: &CancellationToken) -> Result<usize, Error> {
        if self.client.is_none() && !partitions.is_empty() {
            self.client = Some(self.pool.get().await.map_err(DatabaseError::from)?);
        }
        let Some(client) = &self.client else { return Ok(0) };
        let mut all = 0;
        for partition in partitions {
            while !stop.is_cancelled() {
                let published = self.publish_some(client, *partition).await?;
                self.published.increment(published as u64);
                all += published;
                if published < EVENTS_MAX as usize {
                    break;
                }
            }
        }
        Ok(all)
    }

    async fn publish_some(&self, client: &Object, partition: i32) -> Result<usize, Error> {
        let cursor = client.prepare_cached(include_str!("../queries/select_publish_cursor.sql")).await?;
        let Some(cursor) = client.query_opt(&cursor, &[&partition]).await? else { return Ok(0) };
        let next: i64 = cursor.get(0);
        let select = client.prepare_cached(include_str!("../queries/select_events.sql")).await?;
        let rows = client.query(&select, &[&partition, &next, &EVENTS_MAX]).await?;
        let Some(last) = rows.last() else { return Ok(0) };
        let behind = last.get::<_, i64>(0) + 1;

        let mut answers = Vec::with_capacity(2 * rows.len());
        for row in &rows {
            let event = Event::from_row(partition, row)?;
            let mut tell = |told: &Told<'_>| {
                let topic = if told.of_stock { &self.inventory_topic } else { &self.order_topic };
                answers.push(self.producer.send(&told.message(topic))?);
                Ok::<_, ProduceError>(())
            };
            event.tell(&mut tell)?;
        }
        for answer in answers {
            answer.await?;
        }
        let update = client.prepare_cached(include_str!("../queries/move_publish_cursor.sql")).await?;
        match client.execute(&update, &[&partition, &behind, &next]).await? {
            1 => Ok(rows.len()),
            _ => Err(Error::Fenced(partition)),
        }
    }
}

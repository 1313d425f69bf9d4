//! What happened to orders and stock, from Postgres into the topics `order-events` and
//! `inventory-events`: at least once, in order per key, each event with an id of its own that is the
//! same at every delivery. It follows the settle loop and never holds it up: it has a task, a connection
//! and a producer of its own.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use contract::topics::{INVENTORY_EVENTS, ORDER_EVENTS, ORDERS};
use deadpool_postgres::{Object, Pool};
use metrics::{Counter, counter};
use process::kafka::{ProduceError, Producer, ProducerSettings};
use process::settings::Services;
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::publish::committed_events::CommittedBatch;
use crate::publish::event::{Event, EventMessage};
use crate::store::database::DatabaseError;
use process::backoff::Backoff;

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

/// Publishes the events of owned partitions until the process stops.
pub async fn run(context: Context, producer: Producer, mut news: mpsc::Receiver<CommittedBatch>) {
    let stop = context.stop.clone();
    let mut publisher = Publisher {
        pool: context.pool.clone(),
        client: None,
        producer,
        order_topic: context.topic(&ORDER_EVENTS),
        inventory_topic: context.topic(&INVENTORY_EVENTS),
        partitions: BTreeMap::new(),
        published: counter!("events_published_total"),
    };
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let woken = async {
            let first = tokio::time::timeout(EVERY, news.recv()).await;
            publisher.heard(first.ok().flatten());
            tokio::time::sleep(GATHER).await;
        };
        stop.run_until_cancelled(woken).await;
        while let Ok(batch) = news.try_recv() {
            publisher.heard(Some(batch));
        }
        // What has begun is finished: a time-out of the producer bounds it.
        match publisher.publish(&context.ownership.now(), &stop).await {
            Ok(()) => backoff.reset(),
            Err(error) => {
                publisher.forget();
                if backoff.should_log() {
                    tracing::warn!(%error, "publishing events is interrupted, trying again");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

/// What is known of a partition.
#[derive(Default)]
struct Partition {
    /// The first event that is not told; `None`: to be read.
    next: Option<i64>,
    /// Batches that the settle loop has committed, oldest first.
    news: VecDeque<CommittedBatch>,
    /// Whether there may be events that only Postgres knows of.
    behind: bool,
}

struct Publisher {
    pool: Pool,
    client: Option<Object>,
    producer: Producer,
    order_topic: String,
    inventory_topic: String,
    partitions: BTreeMap<i32, Partition>,
    published: Counter,
}

impl Publisher {
    /// A batch was committed; or nothing was for a while: then Postgres is asked, in case it was not said.
    fn heard(&mut self, batch: Option<CommittedBatch>) {
        match batch {
            Some(batch) => {
                let state = self.partitions.entry(batch.partition).or_default();
                match batch.events {
                    Some(_) => state.news.push_back(batch),
                    None => state.behind = true,
                }
            }
            None => self.forget(),
        }
    }

    fn forget(&mut self) {
        self.client = None;
        self.partitions.clear();
    }

    /// Tells everything that is new in these partitions.
    async fn publish(&mut self, owned: &[i32], stop: &CancellationToken) -> Result<(), Error> {
        self.partitions.retain(|partition, _| owned.contains(partition));
        if owned.is_empty() {
            return Ok(());
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => self.pool.get().await.map_err(DatabaseError::from)?,
        };
        for partition in owned.iter().copied() {
            let mut state = self.partitions.remove(&partition).unwrap_or_default();
            while !stop.is_cancelled() && self.publish_some(&client, partition, &mut state).await? {}
            self.partitions.insert(partition, state);
        }
        self.client = Some(client);
        Ok(())
    }

    /// Tells the next events of a partition; false when there are none.
    async fn publish_some(
        &self,
        client: &Object,
        partition: i32,
        state: &mut Partition,
    ) -> Result<bool, Error> {
        let next = match state.next {
            Some(next) => next,
            None => {
                state.behind = true;
                read_cursor(client, partition).await?
            }
        };
        let Some((events, behind)) = next_events(client, partition, next, state).await? else {
            state.next = Some(next);
            return Ok(false);
        };
        if !fault::removed!("told_before_cursor") {
            self.tell(&events).await?;
        }
        fault::point!("settlement.after_events");
        let update = client.prepare_cached(include_str!("../../queries/move_publish_cursor.sql")).await?;
        if client.execute(&update, &[&partition, &behind, &next]).await? != 1 {
            return Err(Error::Fenced(partition));
        }
        if fault::removed!("told_before_cursor") {
            fault::point!("settlement.cursor_moved");
            self.tell(&events).await?;
        }
        self.published.increment(events.len() as u64);
        state.next = Some(behind);
        Ok(true)
    }

    /// Produces them, and waits until both topics have them all.
    async fn tell(&self, events: &[Event]) -> Result<(), Error> {
        let mut answers = Vec::with_capacity(2 * events.len());
        for event in events {
            event.tell(&mut |told: &EventMessage<'_>| {
                let topic = if told.of_stock { &self.inventory_topic } else { &self.order_topic };
                answers.push(self.producer.send(&told.message(topic))?);
                Ok::<_, ProduceError>(())
            })?;
        }
        for answer in answers {
            answer.await?;
        }
        Ok(())
    }
}

async fn read_cursor(client: &Object, partition: i32) -> Result<i64, Error> {
    let select = client.prepare_cached(include_str!("../../queries/select_publish_cursor.sql")).await?;
    Ok(client.query_one(&select, &[&partition]).await?.get(0))
}

/// The events from `next` on, and the sequence behind them: from the settle loop where they follow, else
/// from Postgres.
async fn next_events(
    client: &Object,
    partition: i32,
    next: i64,
    state: &mut Partition,
) -> Result<Option<(Vec<Event>, i64)>, Error> {
    while state.news.front().is_some_and(|batch| batch.to_seq <= next) {
        state.news.pop_front(); // told already, from Postgres
    }
    if let Some(batch) = take_if(&mut state.news, |batch| batch.from_seq <= next) {
        let (mut events, mut behind) = (batch.events.unwrap_or_default(), batch.to_seq);
        events.retain(|event| event.seq >= next);
        while let Some(more) = take_if(&mut state.news, |more| {
            more.from_seq == behind && events.len() + more.len() <= EVENTS_MAX as usize
        }) {
            events.extend(more.events.unwrap_or_default());
            behind = more.to_seq;
        }
        return Ok(Some((events, behind)));
    }
    if state.news.is_empty() && !state.behind {
        return Ok(None);
    }
    // Asked for first: whatever lies below it is in the events that are read after.
    let settled = client.prepare_cached(include_str!("../../queries/select_next_seq.sql")).await?;
    let settled: i64 = client.query_one(&settled, &[&ORDERS.name, &partition]).await?.get(0);
    let select = client.prepare_cached(include_str!("../../queries/select_events.sql")).await?;
    let rows = client.query(&select, &[&partition, &next, &EVENTS_MAX]).await?;
    let events = rows.iter().map(|row| Event::from_row(partition, row)).collect::<Result<Vec<_>, _>>()?;
    state.behind = events.len() == EVENTS_MAX as usize;
    let told = events.last().map_or(next, |last| last.seq + 1);
    // Behind the last event there may be sequences that are none (releases): the cursor passes them too.
    let behind = if state.behind { told } else { told.max(settled) };
    Ok((behind > next).then_some((events, behind)))
}

fn take_if(
    news: &mut VecDeque<CommittedBatch>,
    wanted: impl FnOnce(&CommittedBatch) -> bool,
) -> Option<CommittedBatch> {
    if news.front().is_some_and(wanted) { news.pop_front() } else { None }
}

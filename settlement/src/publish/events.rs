//! Publishes the events of orders and stock from Postgres to the topics `order-events` and `inventory-events`: at least
//! once, in order per key, each event with an id of its own that is the same in every delivery. It follows the settle
//! loop and never blocks it: it has its own task, connection and producer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use contract::topics::{INVENTORY_EVENTS, ORDER_EVENTS, ORDERS};
use deadpool_postgres::{Object, Pool};
use process::backoff::Backoff;
use process::kafka::{ProduceError, Producer, ProducerSettings};
use process::settings::Services;
use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use super::committed_events::{CommittedBatch, CommittedEvents};
use super::event::{Event, EventMessage};
use crate::context::Context;
use crate::queries::{MovePublishCursor, SelectEvents, SelectNextSeq, SelectPublishCursor};
use crate::store::database::DatabaseError;
use invariants::sequence;
use process::invariant;

/// The maximum number of events that are read and published at once.
const EVENTS_MAX: i64 = 2000;
/// The interval at which Postgres is polled when the settle loop reports nothing.
const EVERY: Duration = Duration::from_secs(2);
/// The pause after a first batch arrives, in which others gather: fewer, larger writes.
const GATHER: Duration = Duration::from_millis(50);
/// Settings of the producer. No customer waits for events: messages linger, and are compressed.
const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 20.0, timeout_ms: 10_000, queue_messages_max: 100_000 };

process::metrics! {
    static PUBLISHED: Counter = "events_published_total",
        "Order events published, each to `order-events` and, if units moved, to `inventory-events`.";
    static UNPUBLISHED: Gauge["partition"] = "events_unpublished",
        "Event sequences of the partition that are settled and not published yet.";
}

#[derive(Debug, thiserror::Error)]
enum PublishEventsError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the event topics: {0}")]
    Produce(#[from] ProduceError),
    #[error("another process publishes partition {0}")]
    Fenced(i32),
}
impl From<tokio_postgres::Error> for PublishEventsError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Creates the producer of events.
pub fn producer(services: &Services) -> Result<Producer, KafkaError> {
    let mut config = PRODUCER.config(&services.kafka_brokers, "settlement-events");
    config
        .set("compression.codec", "lz4")
        .set("batch.num.messages", "10000")
        .set("batch.size", "524288")
        .set("partitioner", "murmur2_random"); // the default of the Java client
    Producer::from_config(config)
}

/// Publishes the events of owned partitions until the process stops.
pub async fn run(context: Context, producer: Producer, mut committed: CommittedEvents) {
    let stop = context.stop.clone();
    let mut publisher = EventPublisher {
        pool: context.pool.clone(),
        client: None,
        producer,
        order_topic: context.topic(&ORDER_EVENTS),
        inventory_topic: context.topic(&INVENTORY_EVENTS),
        partitions: BTreeMap::new(),
        failing: BTreeSet::new(),
    };
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let wait = async {
            let first = tokio::time::timeout(EVERY, committed.next()).await;
            publisher.enqueue(first.ok().flatten());
            tokio::time::sleep(GATHER).await;
        };
        stop.run_until_cancelled(wait).await;
        while let Some(batch) = committed.try_next() {
            publisher.enqueue(Some(batch));
        }
        for (partition, settled_seq) in committed.take_left_out() {
            publisher.read_from_postgres(partition, settled_seq);
        }
        // A publication that has begun is finished: the timeout of the producer bounds it.
        match publisher.publish(&context.ownership.current(), &stop).await {
            Ok(()) => backoff.reset(),
            Err(error) => {
                publisher.discard_state();
                if backoff.should_log() {
                    tracing::warn!(%error, "publishing events is interrupted and will be retried");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

/// The state of a partition.
#[derive(Default)]
struct Partition {
    /// The sequence of the first unpublished event; `None`: it must be read.
    next: Option<i64>,
    /// The batches that the settle loop has committed, oldest first.
    committed: VecDeque<CommittedBatch>,
    /// Whether there may be events that only Postgres has.
    must_read: bool,
    /// The sequence behind the last settled event, as far as it is known.
    settled_seq: i64,
}

struct EventPublisher {
    pool: Pool,
    client: Option<Object>,
    producer: Producer,
    order_topic: String,
    inventory_topic: String,
    partitions: BTreeMap<i32, Partition>,
    /// The partitions that failed the last time. They come last.
    failing: BTreeSet<i32>,
}

impl EventPublisher {
    /// Enqueues a committed batch. `None`: no batch was committed for a while, and Postgres is polled in case a batch
    /// was left out.
    fn enqueue(&mut self, batch: Option<CommittedBatch>) {
        match batch {
            Some(batch) => {
                let state = self.partitions.entry(batch.partition).or_default();
                state.settled_seq = state.settled_seq.max(batch.to_seq);
                match batch.events {
                    Some(_) => state.committed.push_back(batch),
                    None => state.must_read = true,
                }
            }
            None => self.discard_state(),
        }
    }

    /// Records that batches up to this sequence were left out: only Postgres has their events.
    fn read_from_postgres(&mut self, partition: i32, settled_seq: i64) {
        let state = self.partitions.entry(partition).or_default();
        state.must_read = true;
        state.settled_seq = state.settled_seq.max(settled_seq);
    }

    fn discard_state(&mut self) {
        self.client = None;
        self.partitions.clear();
    }

    /// Publishes all new events of these partitions.
    async fn publish(&mut self, owned: &[i32], stop: &CancellationToken) -> Result<(), PublishEventsError> {
        self.partitions.retain(|partition, _| {
            let is_owned = owned.contains(partition);
            if !is_owned {
                UNPUBLISHED.with([partition.to_string()]).set(0.0);
            }
            is_owned
        });
        if owned.is_empty() {
            return Ok(());
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => self.pool.get().await.map_err(DatabaseError::from)?,
        };
        // One turn each: a partition with many events, or one that fails, must not hold up the others.
        let mut busy: Vec<i32> = owned.to_vec();
        busy.sort_by_key(|partition| self.failing.contains(partition));
        self.failing.clear();
        let mut result = Ok(());
        while !busy.is_empty() && !stop.is_cancelled() {
            for partition in std::mem::take(&mut busy) {
                let mut state = self.partitions.remove(&partition).unwrap_or_default();
                match self.publish_next(&client, partition, &mut state).await {
                    Ok(has_more) => {
                        let unpublished = state.next.map_or(0, |next| (state.settled_seq - next).max(0));
                        UNPUBLISHED.with([partition.to_string()]).set(unpublished as f64);
                        self.partitions.insert(partition, state);
                        busy.extend(has_more.then_some(partition));
                    }
                    Err(error) => {
                        self.failing.insert(partition);
                        result = result.and(Err(error));
                    }
                }
            }
        }
        self.client = Some(client);
        result
    }

    /// Publishes the next events of a partition. Returns false if there are none.
    async fn publish_next(
        &self,
        client: &Object,
        partition: i32,
        state: &mut Partition,
    ) -> Result<bool, PublishEventsError> {
        let next = match state.next {
            Some(next) => next,
            None => {
                state.must_read = true;
                read_cursor(client, partition).await?
            }
        };
        let Some((events, to_seq)) = next_events(client, partition, next, state).await? else {
            state.next = Some(next);
            return Ok(false);
        };
        if !fault::removed!("published_before_cursor") {
            self.produce(&events).await?;
        }
        fault::point!("settlement.after_events");
        if (MovePublishCursor { partition, from_seq: next, to_seq }.execute(client).await?) != 1 {
            return Err(PublishEventsError::Fenced(partition));
        }
        if fault::removed!("published_before_cursor") {
            fault::point!("settlement.cursor_moved");
            self.produce(&events).await?;
        }
        PUBLISHED.increment(events.len() as u64);
        invariant::check(partition, sequence::cursor_advances(next, to_seq));
        state.next = Some(to_seq);
        Ok(true)
    }

    /// Produces the events, and waits until both topics have acknowledged all of them.
    async fn produce(&self, events: &[Event]) -> Result<(), PublishEventsError> {
        let mut acknowledgements = Vec::with_capacity(2 * events.len());
        for event in events {
            event.send_messages(&mut |message: &EventMessage<'_>| {
                let topic = if message.is_inventory { &self.inventory_topic } else { &self.order_topic };
                acknowledgements.push(self.producer.send(&message.for_topic(topic))?);
                Ok::<_, ProduceError>(())
            })?;
        }
        for acknowledgement in acknowledgements {
            acknowledgement.await?;
        }
        Ok(())
    }
}

async fn read_cursor(client: &Object, partition: i32) -> Result<i64, PublishEventsError> {
    Ok(SelectPublishCursor { partition }.fetch(client).await?.next_seq)
}

/// Returns the events from `next` on, and the sequence behind them: from memory if the committed batches continue
/// there, otherwise from Postgres.
async fn next_events(
    client: &Object,
    partition: i32,
    next: i64,
    state: &mut Partition,
) -> Result<Option<(Vec<Event>, i64)>, PublishEventsError> {
    while state.committed.front().is_some_and(|batch| batch.to_seq <= next) {
        state.committed.pop_front(); // already published, from Postgres
    }
    if let Some(batch) = pop_front_if(&mut state.committed, |batch| batch.from_seq <= next) {
        let (mut events, mut to_seq) = (batch.events.unwrap_or_default(), batch.to_seq);
        events.retain(|event| event.seq >= next);
        while let Some(batch) = pop_front_if(&mut state.committed, |batch| {
            batch.from_seq == to_seq && events.len() + batch.len() <= EVENTS_MAX as usize
        }) {
            events.extend(batch.events.unwrap_or_default());
            to_seq = batch.to_seq;
        }
        return Ok(Some((events, to_seq)));
    }
    if state.committed.is_empty() && !state.must_read {
        return Ok(None);
    }
    // This is read first: all events below it are then among the events that are read next.
    let settled = SelectNextSeq { topic: ORDERS.name, partition }.fetch(client).await?.next_seq;
    state.settled_seq = state.settled_seq.max(settled);
    let rows = SelectEvents { partition, from_seq: next, limit: EVENTS_MAX }.fetch(client).await?;
    let events: Vec<Event> = rows.into_iter().map(|row| Event::from_row(partition, row)).collect();
    state.must_read = events.len() == EVENTS_MAX as usize;
    let after_last = events.last().map_or(next, |last| last.seq + 1);
    // The last event may be followed by sequences of releases, which are not events: the cursor passes them too.
    let to_seq = if state.must_read { after_last } else { after_last.max(settled) };
    Ok((to_seq > next).then_some((events, to_seq)))
}

fn pop_front_if(
    batches: &mut VecDeque<CommittedBatch>,
    condition: impl FnOnce(&CommittedBatch) -> bool,
) -> Option<CommittedBatch> {
    if batches.front().is_some_and(condition) { batches.pop_front() } else { None }
}

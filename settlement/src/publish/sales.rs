//! Postgres' word about sales, into the topic `sales`. One publisher at a time (an advisory lock of its
//! session) reads the topic as gateways do, compares it with Postgres, and writes again whatever
//! differs. So a change that any process makes in Postgres arrives, a message that a former publisher
//! wrote late is put right, and a topic that was lost is filled again.
//!
//! As it reads everything there, it is also the one who hears which sales gateways have found lost.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use contract::ids::{Epoch, SaleId};
use contract::publication::{self as wire, SalePublication};
use contract::topics::SALES;
use deadpool_postgres::{Object, Pool};
use process::kafka::LogContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio_postgres::Row;

use crate::context::Context;
use crate::publish::publication::{self, PublishError};
use crate::recover::rebuild::request::{self, Reason};
use crate::store::database::DatabaseError;
use process::backoff::Backoff;

/// Names the lock among all advisory locks of the database.
const LOCK: i64 = 0x666c_6173_6802;
/// Postgres and the topic are compared so often.
const EVERY: Duration = Duration::from_millis(150);
/// How often to ask for the lock while another process publishes.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Messages of the topic that are read between two comparisons, at most.
const MESSAGES_MAX: usize = 10_000;
/// Sales that are published at once.
const SALES_MAX: usize = 100;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the topic `sales` cannot be read: {0}")]
    Kafka(#[from] KafkaError),
}
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Publish(DatabaseError::from(error).into())
    }
}

/// Publishes whenever it is this process' turn, until it stops.
pub async fn run(context: Context) {
    let stop = context.stop.clone();
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        match turn(&context.pool).await {
            Ok(Some(session)) => {
                tracing::info!("publishes sales");
                let topic = context.topic(&SALES);
                let (seen, lost) = (HashMap::new(), HashSet::new());
                let publisher = Publisher { session, context: &context, topic, seen, lost };
                if let Err(error) = publisher.publish(&mut backoff).await
                    && backoff.should_log()
                {
                    tracing::warn!(%error, "publishing sales is interrupted, trying again");
                }
            }
            Ok(None) => {
                backoff.reset();
                stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await;
                continue;
            }
            Err(error) => tracing::debug!(%error, "cannot ask whose turn it is to publish sales"),
        }
        backoff.pause(&stop).await;
    }
}

/// A session that holds the lock, if nobody else does.
async fn turn(pool: &Pool) -> Result<Option<Object>, DatabaseError> {
    let session = pool.get().await?;
    let row = session.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await?;
    Ok(row.get::<_, bool>(0).then_some(session))
}

/// The last message under a key, as compaction would keep it.
struct Seen {
    offset: i64,
    version: u64,
    ready: bool,
}

struct Publisher<'a> {
    session: Object,
    context: &'a Context,
    topic: String,
    seen: HashMap<String, Seen>,
    /// What heartbeats have named since the last comparison. Old ones name old epochs.
    lost: HashSet<(SaleId, Epoch)>,
}

impl Publisher<'_> {
    async fn publish(mut self, backoff: &mut Backoff) -> Result<(), Error> {
        let result = self.follow(backoff).await;
        // The lock goes with its session, which is not used for anything else.
        drop(Object::take(self.session));
        result
    }

    async fn follow(&mut self, backoff: &mut Backoff) -> Result<(), Error> {
        let brokers = &self.context.settings.services.kafka_brokers;
        let consumer = from_the_beginning(brokers, &self.topic)?;
        let (stop, progress) = (self.context.stop.clone(), self.context.progress.clone());
        let mut caught_up = false;
        while !stop.is_cancelled() {
            caught_up |= self.read(&consumer);
            if caught_up {
                self.compare().await?;
                backoff.reset();
            }
            let wait = async {
                tokio::select! {
                    () = tokio::time::sleep(if caught_up { EVERY } else { EVERY / 10 }) => {}
                    () = progress.sales() => {}
                }
            };
            stop.run_until_cancelled(wait).await;
        }
        Ok(())
    }

    /// Reads what is there, without waiting; true when the end was reached.
    fn read(&mut self, consumer: &BaseConsumer<LogContext>) -> bool {
        let mut end = false;
        for _ in 0..MESSAGES_MAX {
            match consumer.poll(Duration::ZERO) {
                None => break,
                Some(Err(KafkaError::PartitionEOF(_))) => end = true,
                Some(Err(error)) => tracing::debug!(%error, "topic `sales`"),
                Some(Ok(message)) => {
                    let Some(key) = message.key() else { continue };
                    match wire::decode(key, message.payload()) {
                        Ok(wire::SalesMessage::Sale(sale)) => self.saw(&sale, message.offset()),
                        Ok(wire::SalesMessage::Heartbeat(heartbeat)) => self.lost.extend(heartbeat.lost),
                        Ok(wire::SalesMessage::Position(_) | wire::SalesMessage::Other) => {}
                        Err(error) => tracing::warn!(%error, "topic `sales`"),
                    }
                }
            }
        }
        end
    }

    fn saw(&mut self, sale: &SalePublication, offset: i64) {
        let seen = Seen { offset, version: sale.version, ready: sale.ready };
        match self.seen.get_mut(&sale.key()) {
            Some(before) if before.offset >= offset => {}
            Some(before) => *before = seen,
            None => {
                self.seen.insert(sale.key(), seen);
            }
        }
    }

    /// Asks for the rebuild of those that gateways have found lost, where Postgres has the same epoch.
    async fn request_rebuilds(&mut self, ranks: &[Row]) -> Result<(), Error> {
        let lost = std::mem::take(&mut self.lost);
        for (sale, epoch) in &lost {
            let current = |row: &Row| {
                row.get::<_, &str>(0) == sale.as_str() && row.get::<_, i64>(1) as u64 == epoch.0 && row.get(3)
            };
            if ranks.iter().any(current) {
                request::request(&self.session, sale, *epoch, Reason::GatewayLost)
                    .await
                    .map_err(PublishError::from)?;
            }
        }
        Ok(())
    }

    async fn compare(&mut self) -> Result<(), Error> {
        let select = self.session.prepare_cached(include_str!("../../queries/select_ranks.sql")).await?;
        let rows = self.session.query(&select, &[]).await?;
        let mut different: Vec<&str> = Vec::new();
        for row in &rows {
            let (sale, epoch): (&str, i64) = (row.get(0), row.get(1));
            let (version, ready): (i64, bool) = (row.get(2), row.get(3));
            let seen = self.seen.get(&format!("{sale}/{epoch}"));
            if seen.is_none_or(|seen| seen.version != version as u64 || seen.ready != ready) {
                different.push(sale);
            }
        }
        self.request_rebuilds(&rows).await?;
        for some in different.chunks(SALES_MAX) {
            let sales = publication::read(&self.session, some).await.map_err(PublishError::from)?;
            let mut sent = Vec::with_capacity(sales.len());
            for sale in sales {
                let sale = match sale {
                    Ok(sale) => sale,
                    Err(error) => {
                        tracing::error!(%error, "left out");
                        continue;
                    }
                };
                let answer = publication::produce(&self.context.producer, &self.topic, &sale)
                    .map_err(PublishError::from)?;
                sent.push((sale, answer));
            }
            for (sale, answer) in sent {
                let acknowledged = answer.await.map_err(PublishError::from)?;
                tracing::info!(sale_id = %sale.sale_id, epoch = sale.epoch.0, version = sale.version, ready = sale.ready, state = sale.state.as_str(), "published");
                self.saw(&sale, acknowledged.offset);
            }
        }
        Ok(())
    }
}

/// A consumer at the topic's beginning.
fn from_the_beginning(brokers: &str, topic: &str) -> Result<BaseConsumer<LogContext>, KafkaError> {
    let mut config = process::kafka::client(brokers, "settlement-sales");
    config
        .set("group.id", "none") // never joined: partitions are assigned by hand
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest") // compaction may take the first offset away
        .set("fetch.wait.max.ms", "250")
        .set("queued.max.messages.kbytes", "4096");
    let consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    Ok(consumer)
}

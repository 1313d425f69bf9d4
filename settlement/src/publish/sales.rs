//! Publishes the sales in Postgres to the topic `sales`. One publisher at a time (it holds an advisory lock of its
//! session) reads the topic as gateways do, compares it with Postgres, and publishes again whatever differs. So a
//! change by any process arrives, a late message of a former publisher is corrected, and a lost topic is filled again.
//!
//! The publisher also reads the gateways' heartbeats there, which name the sales whose state loss they have detected.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use contract::ids::{Epoch, SaleId};
use contract::publication::{self as wire, SalePublication};
use contract::topics::SALES;
use deadpool_postgres::{Object, Pool};
use process::backoff::Backoff;
use process::kafka::LogContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::publication::{self, PublishError};
use crate::context::Context;
use crate::queries::{SelectRanks, SelectRanksRow};
use crate::recover::rebuild::request::{self, Reason};
use crate::store::database::DatabaseError;

/// The key of the advisory lock of the publisher.
const LOCK: i64 = 0x666c_6173_6802;
/// The interval between two comparisons of Postgres with the topic.
const EVERY: Duration = Duration::from_millis(150);
/// The interval between two attempts to acquire the lock while another process publishes.
const ACQUIRE_EVERY: Duration = Duration::from_millis(500);
/// The maximum number of messages that are read between two comparisons.
const MESSAGES_MAX: usize = 10_000;
/// The maximum number of sales that are published at once.
const SALES_MAX: usize = 100;

#[derive(Debug, thiserror::Error)]
enum PublishSalesError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the topic `sales` cannot be read: {0}")]
    Kafka(#[from] KafkaError),
}
impl From<tokio_postgres::Error> for PublishSalesError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Publish(DatabaseError::from(error).into())
    }
}

/// Publishes sales whenever this process holds the lock, until it stops.
pub async fn run(context: Context) {
    let stop = context.stop.clone();
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        match acquire_lock(&context.pool).await {
            Ok(Some(session)) => {
                tracing::info!("acquired the lock and publishes sales");
                let topic = context.topic(&SALES);
                let (published, lost) = (HashMap::new(), HashSet::new());
                let publisher = SalePublisher { session, context: &context, topic, published, lost };
                if let Err(error) = publisher.run(&mut backoff).await
                    && backoff.should_log()
                {
                    tracing::warn!(%error, "publishing sales is interrupted and will be retried");
                }
            }
            Ok(None) => {
                backoff.reset();
                stop.run_until_cancelled(tokio::time::sleep(ACQUIRE_EVERY)).await;
                continue;
            }
            Err(error) => tracing::debug!(%error, "could not acquire the lock to publish sales"),
        }
        backoff.pause(&stop).await;
    }
}

/// Returns a session that holds the lock, or `None` while another session holds it.
async fn acquire_lock(pool: &Pool) -> Result<Option<Object>, DatabaseError> {
    let session = pool.get().await?;
    let row = session.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await?;
    Ok(row.get::<_, bool>(0).then_some(session))
}

/// The last message under a key, as compaction would keep it.
struct PublishedVersion {
    offset: i64,
    version: u64,
    ready: bool,
}

struct SalePublisher<'a> {
    session: Object,
    context: &'a Context,
    topic: String,
    published: HashMap<String, PublishedVersion>,
    /// The epochs that heartbeats have reported as lost since the last comparison. Old heartbeats name old epochs.
    lost: HashSet<(SaleId, Epoch)>,
}

impl SalePublisher<'_> {
    async fn run(mut self, backoff: &mut Backoff) -> Result<(), PublishSalesError> {
        let result = self.publish_until_stopped(backoff).await;
        // This ends the session, which has no other use, and releases the lock.
        drop(Object::take(self.session));
        result
    }

    async fn publish_until_stopped(&mut self, backoff: &mut Backoff) -> Result<(), PublishSalesError> {
        let brokers = &self.context.settings.services.kafka_brokers;
        let consumer = consumer_from_beginning(brokers, &self.topic)?;
        let (stop, progress) = (self.context.stop.clone(), self.context.progress.clone());
        let mut caught_up = false;
        while !stop.is_cancelled() {
            caught_up |= self.read_topic(&consumer);
            if caught_up {
                self.compare().await?;
                backoff.reset();
            }
            let wait = async {
                tokio::select! {
                    () = tokio::time::sleep(if caught_up { EVERY } else { EVERY / 10 }) => {}
                    () = progress.wait_for_sales() => {}
                }
            };
            stop.run_until_cancelled(wait).await;
        }
        Ok(())
    }

    /// Reads the available messages without waiting. Returns whether the end of the topic was reached.
    fn read_topic(&mut self, consumer: &BaseConsumer<LogContext>) -> bool {
        let mut reached_end = false;
        for _ in 0..MESSAGES_MAX {
            match consumer.poll(Duration::ZERO) {
                None => break,
                Some(Err(KafkaError::PartitionEOF(_))) => reached_end = true,
                Some(Err(error)) => tracing::debug!(%error, "could not read the topic `sales`"),
                Some(Ok(message)) => {
                    let Some(key) = message.key() else { continue };
                    match wire::decode(key, message.payload()) {
                        Ok(wire::SalesMessage::Sale(sale)) => self.record_published(&sale, message.offset()),
                        Ok(wire::SalesMessage::Heartbeat(heartbeat)) => self.lost.extend(heartbeat.lost),
                        Ok(wire::SalesMessage::Unreadable(sale)) => tracing::warn!(
                            sale_id = %sale.sale_id, epoch = %sale.epoch, version = sale.version, why = sale.why,
                            "the topic `sales` has a publication that this version cannot read"
                        ),
                        Ok(wire::SalesMessage::Position(_) | wire::SalesMessage::Other) => {}
                        Err(error) => {
                            tracing::warn!(%error, "skipped an undecodable message of the topic `sales`");
                        }
                    }
                }
            }
        }
        reached_end
    }

    fn record_published(&mut self, sale: &SalePublication, offset: i64) {
        let published = PublishedVersion { offset, version: sale.version, ready: sale.ready };
        match self.published.get_mut(&sale.key()) {
            Some(previous) if previous.offset >= offset => {}
            Some(previous) => *previous = published,
            None => {
                self.published.insert(sale.key(), published);
            }
        }
    }

    /// Requests a rebuild of the sales whose loss gateways have reported, if Postgres has the same epoch.
    async fn request_rebuilds(&mut self, ranks: &[SelectRanksRow]) -> Result<(), PublishSalesError> {
        let lost = std::mem::take(&mut self.lost);
        for (sale, epoch) in &lost {
            let is_current = |row: &SelectRanksRow| row.sale_id == *sale && row.epoch == *epoch && row.ready;
            if ranks.iter().any(is_current) {
                request::request(&self.session, sale, *epoch, Reason::GatewayLost)
                    .await
                    .map_err(PublishError::from)?;
            }
        }
        Ok(())
    }

    async fn compare(&mut self) -> Result<(), PublishSalesError> {
        let rows = SelectRanks {}.fetch(&self.session).await?;
        let mut different: Vec<&str> = Vec::new();
        for row in &rows {
            let published = self.published.get(&format!("{}/{}", row.sale_id, row.epoch));
            let is_current = |published: &PublishedVersion| {
                published.version == row.version as u64 && published.ready == row.ready
            };
            if !published.is_some_and(is_current) {
                different.push(row.sale_id.as_str());
            }
        }
        self.request_rebuilds(&rows).await?;
        for sales in different.chunks(SALES_MAX) {
            self.publish(sales).await?;
        }
        Ok(())
    }

    async fn publish(&mut self, sales: &[&str]) -> Result<(), PublishSalesError> {
        let sales = publication::read(&self.session, sales).await.map_err(PublishError::from)?;
        let mut sent = Vec::with_capacity(sales.len());
        for sale in sales {
            let sale = match sale {
                Ok(sale) => sale,
                Err(error) => {
                    tracing::error!(%error, "left out an invalid sale");
                    continue;
                }
            };
            let acknowledgement = publication::produce(&self.context.producer, &self.topic, &sale)
                .map_err(PublishError::from)?;
            sent.push((sale, acknowledgement));
        }
        for (sale, acknowledgement) in sent {
            let acknowledged = acknowledgement.await.map_err(PublishError::from)?;
            tracing::info!(sale_id = %sale.sale_id, epoch = sale.epoch.0, version = sale.version, ready = sale.ready, state = sale.state.as_str(), "published the sale to gateways");
            self.record_published(&sale, acknowledged.offset);
        }
        Ok(())
    }
}

/// Creates a consumer at the beginning of the topic.
fn consumer_from_beginning(brokers: &str, topic: &str) -> Result<BaseConsumer<LogContext>, KafkaError> {
    let mut config = process::kafka::client(brokers, "settlement-sales");
    config
        .set("group.id", "none") // required, but the group is never joined: the partition is assigned manually
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest") // compaction may remove the first offset
        .set("fetch.wait.max.ms", "250")
        .set("queued.max.messages.kbytes", "4096");
    let consumer = BaseConsumer::from_config_and_context(&config, LogContext)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    Ok(consumer)
}

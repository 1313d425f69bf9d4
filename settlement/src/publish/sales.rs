//! Publishes the sales in Postgres to the topic `sales`. One publisher at a time, the holder of a [`Role`], reads the topic
//! as gateways do, compares it with Postgres, and publishes again whatever differs. So a change by any process arrives, a
//! late message of a former publisher is corrected, and a lost topic is filled again. Where the topic is ahead, Postgres
//! has lost what it once was, by a restore or a failover: it is raised above the topic, and the sale is rebuilt.
//!
//! The publisher also reads the gateways' heartbeats there, which name the sales whose state loss they have detected.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId};
use contract::publication::{self as wire, SalePublication};
use contract::topics::SALES;
use deadpool_postgres::Object;
use process::backoff::Backoff;
use process::kafka::LogContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::publication::{self, PublishError};
use super::role::Role;
use crate::context::Context;
use crate::queries::{RaiseSale, SelectRanks, SelectRanksRow};
use crate::recover::rebuild::request::{self, Reason};
use crate::store::database::DatabaseError;

/// The name of the publisher's role.
const ROLE: &str = "publish sales";
/// A publisher that receives nothing for this duration before the end of the topic gives its role up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The interval between two comparisons of Postgres with the topic.
const EVERY: Duration = Duration::from_millis(150);
/// The interval between two attempts to take the role while another process publishes.
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
    #[error("the topic `sales` was silent for {SILENCE_MAX:?} before its end was reached")]
    Silent,
    #[error("another process publishes sales")]
    Superseded,
}
impl From<tokio_postgres::Error> for PublishSalesError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Publish(DatabaseError::from(error).into())
    }
}

/// Publishes sales whenever this process has the role, until it stops.
pub async fn run(context: Context) {
    let stop = context.stop.clone();
    let mut role = Role::new(ROLE);
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let session = context.pool.get().await.map_err(DatabaseError::from);
        match acquire(session, &mut role).await {
            Ok(Some(session)) => {
                tracing::info!("took the role and publishes sales");
                let mut publisher = SalePublisher::new(session, &mut role, &context);
                let result = publisher.publish_until_stopped(&mut backoff).await;
                drop(publisher);
                role.leave(&context.pool).await; // another process may be able to do what this one could not
                if let Err(error) = result
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
            Err(error) => tracing::debug!(%error, "could not take the role to publish sales"),
        }
        backoff.pause(&stop).await;
    }
}

/// Returns the session if the role could be taken, or `None` while another process has it.
async fn acquire(
    session: Result<Object, DatabaseError>,
    role: &mut Role,
) -> Result<Option<Object>, DatabaseError> {
    let session = session?;
    Ok(role.take(&session).await?.then_some(session))
}

/// The last message under a key, as compaction would keep it.
struct PublishedVersion {
    offset: i64,
    version: u64,
    ready: bool,
}

/// The result of reading what is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TopicReading {
    Nothing,
    /// Messages, and there may be more.
    Messages,
    /// The end of the topic.
    End,
}

struct SalePublisher<'a> {
    session: Object,
    role: &'a mut Role,
    context: &'a Context,
    topic: String,
    published: HashMap<String, PublishedVersion>,
    /// The highest epoch and version of each sale in the topic.
    ranks: HashMap<SaleId, (Epoch, u64)>,
    /// The epochs that heartbeats have reported as lost since the last comparison. Old heartbeats name old epochs.
    lost: HashSet<(SaleId, Epoch)>,
}

impl<'a> SalePublisher<'a> {
    fn new(session: Object, role: &'a mut Role, context: &'a Context) -> Self {
        Self {
            session,
            role,
            context,
            topic: context.topic(&SALES),
            published: HashMap::new(),
            ranks: HashMap::new(),
            lost: HashSet::new(),
        }
    }

    async fn publish_until_stopped(&mut self, backoff: &mut Backoff) -> Result<(), PublishSalesError> {
        let brokers = &self.context.settings.services.kafka_brokers;
        let consumer = consumer_from_beginning(brokers, &self.topic)?;
        let (stop, progress) = (self.context.stop.clone(), self.context.progress.clone());
        let (mut read_at, mut caught_up) = (Instant::now(), false);
        while !stop.is_cancelled() {
            if !self.role.take(&self.session).await.map_err(PublishError::from)? {
                return Err(PublishSalesError::Superseded);
            }
            match self.read_topic(&consumer) {
                TopicReading::End => caught_up = true,
                TopicReading::Messages => read_at = Instant::now(),
                TopicReading::Nothing => {}
            }
            if caught_up {
                self.compare().await?;
                backoff.reset();
            } else if read_at.elapsed() > SILENCE_MAX {
                return Err(PublishSalesError::Silent);
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

    /// Reads the available messages without waiting.
    fn read_topic(&mut self, consumer: &BaseConsumer<LogContext>) -> TopicReading {
        let mut reading = TopicReading::Nothing;
        for _ in 0..MESSAGES_MAX {
            match consumer.poll(Duration::ZERO) {
                None => break,
                Some(Err(KafkaError::PartitionEOF(_))) => reading = TopicReading::End,
                Some(Err(error)) => tracing::debug!(%error, "could not read the topic `sales`"),
                Some(Ok(message)) => {
                    if reading == TopicReading::Nothing {
                        reading = TopicReading::Messages;
                    }
                    let Some(key) = message.key() else { continue };
                    match wire::decode(key, message.payload()) {
                        Ok(wire::SalesMessage::Sale(sale)) => self.record_published(&sale, message.offset()),
                        Ok(wire::SalesMessage::Heartbeat(heartbeat)) => self.lost.extend(heartbeat.lost),
                        Ok(wire::SalesMessage::Unreadable(sale)) => {
                            tracing::warn!(
                                sale_id = %sale.sale_id, epoch = %sale.epoch, version = sale.version, why = sale.why,
                                "the topic `sales` has a publication that this version cannot read"
                            );
                            self.record_rank(&sale.sale_id, (sale.epoch, sale.version.unwrap_or(0)));
                        }
                        Ok(wire::SalesMessage::Position(_) | wire::SalesMessage::Other) => {}
                        Err(error) => {
                            tracing::warn!(%error, "skipped an undecodable message of the topic `sales`");
                        }
                    }
                }
            }
        }
        reading
    }

    fn record_rank(&mut self, sale: &SaleId, rank: (Epoch, u64)) {
        match self.ranks.get_mut(sale) {
            Some(highest) => *highest = rank.max(*highest),
            None => {
                self.ranks.insert(sale.clone(), rank);
            }
        }
    }

    fn record_published(&mut self, sale: &SalePublication, offset: i64) {
        self.record_rank(&sale.sale_id, sale.rank());
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
        // Postgres is read after the topic: what it has committed before it was published must be there.
        let rows = SelectRanks {}.fetch(&self.session).await?;
        let mut different: Vec<&str> = Vec::new();
        for row in &rows {
            if let Some(rank) = self.ranks.get(&row.sale_id)
                && *rank > (row.epoch, row.version as u64)
            {
                raise(&self.session, row, *rank).await?;
                continue; // it is published with its new rank
            }
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

/// Raises a sale above what the topic has published of it, because Postgres has lost that.
async fn raise(
    session: &Object,
    row: &SelectRanksRow,
    (epoch, version): (Epoch, u64),
) -> Result<(), PublishSalesError> {
    let raise = RaiseSale { sale_id: &row.sale_id, epoch, version: version as i64 };
    if raise.execute(session).await? == 1 {
        Reason::Restored.count();
        tracing::error!(
            sale_id = %row.sale_id, stored_epoch = %row.epoch, stored_version = row.version, %epoch, version,
            "Postgres was behind the topic `sales`, as after a restore: the sale is rebuilt"
        );
    }
    Ok(())
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

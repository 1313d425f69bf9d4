//! One attempt, step by step. It never resumes an older one: whatever state that left is under another
//! epoch's keys.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::Epoch;
use contract::keys::SaleKeys;
use contract::topics::SALES;
use lua::scripts::{Scripts, SealError, replication_id, seal};
use lua::{Redis, RedisError};
use process::kafka::ProduceError;
use tokio::sync::Semaphore;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::journal::{Journal, Step};
use super::{Due, fence, items, snapshot};
use crate::context::Context;
use crate::publish::publication::{self, PublishError};
use crate::store::database::DatabaseError;

/// How long a gateway may still answer under an old epoch: its lease, and a margin for two clocks that do
/// not run alike.
const LEASE_WAIT: Duration = Duration::from_millis(3000 + 500);
/// A call's limit. Scripts are small and chunks are bounded: longer than this is a fault.
const REDIS_TIMEOUT: Duration = Duration::from_secs(3);

/// Why an attempt did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// There is no Redis: nothing was begun.
    #[error("Redis is not there: {0}")]
    NoRedis(RedisError),
    /// Redis failed.
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    /// The mark was not set.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The sale could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The barrier was not acknowledged.
    #[error("the barrier: {0}")]
    Barrier(ProduceError),
    /// The barrier was not settled although the loop did not move.
    #[error("the barrier was not settled: the partition did not move for {0:?}")]
    NotSettled(Duration),
    /// A newer epoch has begun, or the sale is a draft again.
    #[error("another attempt has begun")]
    Superseded,
}

impl From<tokio_postgres::Error> for RebuildError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}
impl From<deadpool_postgres::PoolError> for RebuildError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Database(error.into())
    }
}

/// What an attempt made.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Built {
    pub epoch: Epoch,
    pub orders: u64,
}

/// An epoch that has begun.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Its number.
    pub epoch: Epoch,
    /// Some epoch was ready: gateways may hold leases on it.
    pub was_ready: bool,
    /// The highest barrier that is settled: older outboxes are void.
    pub settled_epoch: Epoch,
}

/// Whose attempt it is, and how it is followed.
pub struct Run {
    /// The settler: others leave the attempt alone while it lives.
    pub by: Uuid,
    /// Where it is.
    pub journal: Journal,
    /// Places to read orders in.
    pub snapshots: Arc<Semaphore>,
}

/// The whole protocol (ARCHITECTURE.md, "Rebuild"), in order.
pub async fn attempt(context: &Context, due: &Due, run: &Run) -> Result<Built, RebuildError> {
    // No epoch is taken while there is no Redis to build it in. The connection is never mended: what is
    // sealed at the end was written through it, on one server.
    let url = &context.settings.services.redis_url;
    let redis = Redis::connect_once(url, REDIS_TIMEOUT).await.map_err(RebuildError::NoRedis)?;
    let built = on_one_connection(context, due, run, &redis).await;
    redis.quit().await;
    built
}

async fn on_one_connection(
    context: &Context,
    due: &Due,
    run: &Run,
    redis: &Redis,
) -> Result<Built, RebuildError> {
    let replid = replication_id(redis).await.map_err(RebuildError::NoRedis)?;
    let begun = begin(context, due, run.by).await?;
    tracing::info!(sale_id = %due.sale, partition = due.partition, epoch = begun.epoch.0, first = !begun.was_ready, wanted = ?due.wanted, "rebuilding");
    tokio::select! {
        built = build(context, due, run, redis, &begun, &replid) => built,
        () = run.journal.keep(context, due, begun.epoch, run.by) => Err(RebuildError::Superseded),
    }
}

async fn build(
    context: &Context,
    due: &Due,
    run: &Run,
    redis: &Redis,
    begun: &Begun,
    replid: &str,
) -> Result<Built, RebuildError> {
    let (epoch, journal) = (begun.epoch, &run.journal);
    fault::point!("settlement.rebuild.begun");
    journal.step(Step::Announce);
    publish(context, due).await?;
    fault::point!("settlement.rebuild.published");
    if begun.was_ready {
        journal.step(Step::Leases);
        tokio::time::sleep(LEASE_WAIT).await;
        fault::point!("settlement.rebuild.waited");
        journal.step(Step::Drain);
        fence::drain_outboxes(context, due, begun, redis).await;
    }
    fault::point!("settlement.rebuild.drained");
    journal.step(Step::Barrier);
    fence::write_barrier(context, due, epoch).await?;
    fault::point!("settlement.rebuild.barrier_written");
    journal.step(Step::Settle);
    fence::barrier_settled(context, due, epoch).await?;
    fault::point!("settlement.rebuild.barrier_settled");
    journal.step(Step::Items);
    items::make_pending(context, due, epoch).await?;
    journal.step(Step::Unlink);
    snapshot::unlink_older(redis, &due.sale, epoch).await?;
    fault::point!("settlement.rebuild.unlinked");

    journal.step(Step::Snapshot);
    let keys = SaleKeys::new(&due.sale, epoch);
    let (written, orders) = {
        // The semaphore is never closed.
        let _place = run.snapshots.acquire().await;
        snapshot::write_snapshot(context, due, epoch, &keys, redis, journal).await?
    };
    fault::point!("settlement.rebuild.written");
    journal.step(Step::Scripts);
    let mark = Uuid::new_v4().simple().to_string();
    let scripts = Scripts::render(&due.sale, epoch, &mark, replid);
    scripts.load(redis).await?;
    fault::point!("settlement.rebuild.loaded");
    journal.step(Step::Seal);
    seal(redis, &keys, &mark, replid, written).await?;
    fault::point!("settlement.rebuild.sealed");
    finish(context, due, epoch, &mark, &scripts).await?;
    fault::point!("settlement.rebuild.finished");
    journal.step(Step::Open);
    publish(context, due).await?;
    Ok(Built { epoch, orders })
}

async fn begin(context: &Context, due: &Due, by: Uuid) -> Result<Begun, RebuildError> {
    let client = context.pool.get().await?;
    let update = client.prepare_cached(include_str!("../../../queries/begin_epoch.sql")).await?;
    let row = client.query_opt(&update, &[&due.sale.as_str(), &(due.epoch.0 as i64), &by]).await?;
    let row = row.ok_or(RebuildError::Superseded)?;
    Ok(Begun {
        epoch: Epoch(row.get::<_, i64>(0) as u64),
        was_ready: row.get(1),
        settled_epoch: Epoch(row.get::<_, i64>(2) as u64),
    })
}

async fn finish(
    context: &Context,
    due: &Due,
    epoch: Epoch,
    mark: &str,
    scripts: &Scripts,
) -> Result<(), RebuildError> {
    let client = context.pool.get().await?;
    let update = client.prepare_cached(include_str!("../../../queries/finish_epoch.sql")).await?;
    let finished = client
        .execute(&update, &[&due.sale.as_str(), &(epoch.0 as i64), &mark, &Json(&scripts.digests)])
        .await?;
    if finished == 1 { Ok(()) } else { Err(RebuildError::Superseded) }
}

/// Publishes the sale as Postgres has it now, and waits for the log's acknowledgement.
async fn publish(context: &Context, due: &Due) -> Result<(), RebuildError> {
    let read = {
        let client = context.pool.get().await?;
        publication::read(&client, &[due.sale.as_str()]).await?
    };
    let sale = read.into_iter().next().ok_or(RebuildError::Superseded)??;
    let answer =
        publication::produce(&context.producer, &context.topic(&SALES), &sale).map_err(PublishError::from)?;
    answer.await.map_err(PublishError::from)?;
    Ok(())
}

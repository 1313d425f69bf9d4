//! One attempt to rebuild a sale, step by step. It never resumes an older attempt: the state that an older attempt left
//! is under another epoch's keys.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::Epoch;
use contract::keys::SaleKeys;
use contract::topics::SALES;
use lua::Redis;
use lua::scripts::{Scripts, replication_id, seal};
use tokio::sync::Semaphore;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::error::RebuildError;
use super::journal::{Journal, Step};
use super::{NewEpoch, RebuildTarget, fence, items, snapshot};
use crate::context::Context;
use crate::publish::publication::{self, PublishError};
use crate::queries::{BeginEpoch, FinishEpoch};
use invariants::position;
use process::invariant;

/// The time for which a gateway may still respond under an old epoch: its lease, and a margin for two clocks that do not
/// run equally fast.
const LEASE_WAIT: Duration = Duration::from_millis(3000 + 500);
/// The timeout of a call. Scripts are small and chunks are bounded: a call that exceeds it is a fault.
const REDIS_TIMEOUT: Duration = Duration::from_secs(3);

/// The result of a successful attempt.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the epoch, and the number of orders in it
pub struct RebuiltSale {
    pub epoch: Epoch,
    pub orders: u64,
}

/// The identity of an attempt, and what it uses.
pub struct Attempt {
    /// The settler that makes the attempt: others do not begin one while its heartbeat is recent.
    pub owner: Uuid,
    /// The progress of the attempt.
    pub journal: Journal,
    /// The permits to read the orders of a sale.
    pub snapshots: Arc<Semaphore>,
}

impl Attempt {
    /// Runs the whole protocol (ARCHITECTURE.md, "Rebuild"), in order.
    pub async fn run(&self, context: &Context, target: &RebuildTarget) -> Result<RebuiltSale, RebuildError> {
        // No epoch begins while there is no Redis to build it in. The connection never reconnects: everything that is
        // sealed at the end was written through it, to one server.
        let url = &context.settings.services.redis_url;
        let redis = Redis::connect_once(url, REDIS_TIMEOUT).await.map_err(RebuildError::NoRedis)?;
        let result = self.run_on_connection(context, target, &redis).await;
        redis.quit().await;
        result
    }

    async fn run_on_connection(
        &self,
        context: &Context,
        target: &RebuildTarget,
        redis: &Redis,
    ) -> Result<RebuiltSale, RebuildError> {
        let replid = replication_id(redis).await.map_err(RebuildError::NoRedis)?;
        let new = begin_epoch(context, target, self.owner).await?;
        tracing::info!(sale_id = %target.sale, partition = target.partition, epoch = new.epoch.0, first = !new.was_ready, cause = ?target.cause, "rebuilding the sale in Redis");
        tokio::select! {
            result = self.build(context, target, redis, &new, &replid) => result,
            () = self.journal.report_progress(context, target, new.epoch, self.owner) => Err(RebuildError::Superseded),
        }
    }

    async fn build(
        &self,
        context: &Context,
        target: &RebuildTarget,
        redis: &Redis,
        new: &NewEpoch,
        replid: &str,
    ) -> Result<RebuiltSale, RebuildError> {
        let (epoch, journal) = (new.epoch, &self.journal);
        let keys = SaleKeys::new(&target.sale, epoch);
        snapshot::check_absent(redis, &keys).await?;
        fault::point!("settlement.rebuild.begun");
        journal.set_step(Step::Announce);
        publish(context, target).await?;
        fault::point!("settlement.rebuild.published");
        if new.was_ready {
            journal.set_step(Step::Leases);
            tokio::time::sleep(LEASE_WAIT).await;
            fault::point!("settlement.rebuild.waited");
            journal.set_step(Step::Drain);
            fence::drain_outboxes(context, target, new, redis).await;
        }
        fault::point!("settlement.rebuild.drained");
        journal.set_step(Step::Barrier);
        let barrier = fence::write_barrier(context, target, epoch).await?;
        fault::point!("settlement.rebuild.barrier_written");
        journal.set_step(Step::Settle);
        fence::wait_until_settled(context, target, epoch, barrier).await?;
        fault::point!("settlement.rebuild.barrier_settled");
        journal.set_step(Step::Items);
        items::apply_pending(context, target, epoch).await?;
        journal.set_step(Step::Unlink);
        snapshot::unlink_older_epochs(redis, &target.sale, epoch).await?;
        fault::point!("settlement.rebuild.unlinked");

        journal.set_step(Step::Snapshot);
        let (written, orders) = {
            // The semaphore is never closed.
            let _permit = self.snapshots.acquire().await;
            snapshot::write(context, target, epoch, &keys, redis, journal).await?
        };
        fault::point!("settlement.rebuild.written");
        journal.set_step(Step::Scripts);
        let mark = Uuid::new_v4().simple().to_string();
        let scripts = Scripts::render(&target.sale, epoch, &mark, replid);
        scripts.load(redis).await?;
        fault::point!("settlement.rebuild.loaded");
        journal.set_step(Step::Seal);
        seal(redis, &keys, &mark, replid, written).await?;
        fault::point!("settlement.rebuild.sealed");
        finish_epoch(context, target, epoch, &mark, &scripts).await?;
        fault::point!("settlement.rebuild.finished");
        journal.set_step(Step::Open);
        publish(context, target).await?;
        Ok(RebuiltSale { epoch, orders })
    }
}

async fn begin_epoch(
    context: &Context,
    target: &RebuildTarget,
    owner: Uuid,
) -> Result<NewEpoch, RebuildError> {
    let client = context.pool.get().await?;
    let update = BeginEpoch { sale_id: &target.sale, epoch: target.epoch, rebuild_by: owner };
    let begun = update.fetch(&client).await?.ok_or(RebuildError::Superseded)?;
    let sale = &target.sale;
    invariant::check(sale, position::epoch_advances(target.epoch.0, begun.epoch.0));
    invariant::check(sale, position::epoch_never_decreases(begun.settled_epoch.0, begun.epoch.0));
    Ok(NewEpoch { epoch: begun.epoch, was_ready: begun.was_ready, settled_epoch: begun.settled_epoch })
}

async fn finish_epoch(
    context: &Context,
    target: &RebuildTarget,
    epoch: Epoch,
    mark: &str,
    scripts: &Scripts,
) -> Result<(), RebuildError> {
    let client = context.pool.get().await?;
    let update = FinishEpoch { sale_id: &target.sale, epoch, mark, scripts: Json(&scripts.digests) };
    if update.execute(&client).await? == 1 { Ok(()) } else { Err(RebuildError::Superseded) }
}

/// Publishes the sale as it is in Postgres now, and waits for the acknowledgement of Kafka.
async fn publish(context: &Context, target: &RebuildTarget) -> Result<(), RebuildError> {
    let sales = {
        let client = context.pool.get().await?;
        publication::read(&client, &[target.sale.as_str()]).await?
    };
    let sale = sales.into_iter().next().ok_or(RebuildError::Superseded)??;
    let acknowledgement =
        publication::produce(&context.producer, &context.topic(&SALES), &sale).map_err(PublishError::from)?;
    acknowledgement.await.map_err(PublishError::from)?;
    Ok(())
}

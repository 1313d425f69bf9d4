//! Rebuilds: how the state of a sale is written to Redis, at its first opening and after a loss (ARCHITECTURE.md,
//! "Epochs").
//!
//! | module              | what it does                                                        |
//! |---------------------|---------------------------------------------------------------------|
//! | [`request`]         | requests a rebuild, by the proof that it is needed                  |
//! | [`rebuild_backoff`] | decides when an attempt may begin                                   |
//! | [`attempt`]         | runs the protocol, from the new epoch to `ready`                    |
//! | [`journal`]         | reports the progress of an attempt to operators and other settlers  |
//! | [`fence`]           | ends the old epoch: leases, outbox, barrier                         |
//! | [`items`]           | applies changes of items that require a rebuild                     |
//! | [`snapshot`]        | writes the snapshot of Postgres to Redis                            |
//! | [`error`]           | defines the errors of an attempt                                    |
//!
//! This module determines which sales are due, and runs a task for each.

pub mod attempt;
pub mod error;
pub mod fence;
pub mod items;
pub mod journal;
pub mod rebuild_backoff;
pub mod request;
pub mod snapshot;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId};
use deadpool_postgres::Pool;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::attempt::Attempt;
use self::error::RebuildError;
use self::journal::{DEAD_AFTER, Journal};
use self::rebuild_backoff::{AttemptOutcome, RebuildBackoff, RebuildCause};
use crate::context::Context;
use crate::queries::{LeaveRebuild, SelectRebuilds};
use crate::store::database::DatabaseError;

/// The interval at which Postgres is polled for sales that are due.
const EVERY: Duration = Duration::from_millis(100);
/// The maximum number of concurrent rebuilds; most of their time they wait for leases to expire.
const REBUILDS_MAX: usize = 16;
/// The maximum number of them that read their orders: each holds a connection to Postgres in the meantime.
const SNAPSHOTS_MAX: usize = 4;

/// A sale that is due for a rebuild.
#[derive(Debug, Clone)]
pub struct RebuildTarget {
    /// The id of the sale.
    pub sale: SaleId,
    /// The partition of its records.
    pub partition: i32,
    /// The newest epoch so far.
    pub epoch: Epoch,
    /// The cause of the rebuild.
    pub cause: RebuildCause,
}

/// The epoch that an attempt has begun.
#[derive(Debug, Clone, Copy)]
pub struct NewEpoch {
    /// The number of the epoch.
    pub epoch: Epoch,
    /// Whether an older epoch was ready: then gateways may hold leases on it.
    pub was_ready: bool,
    /// The highest settled barrier: outboxes of lower epochs are void.
    pub settled_epoch: Epoch,
}

process::metrics! {
    static SECONDS: Histogram = "rebuild_seconds", "Duration of a successful rebuild of a sale in Redis, in seconds.";
    static FAILURES: Counter = "rebuild_failures_total", "Failed attempts to rebuild a sale; each is retried.";
    static RUNNING: Gauge = "rebuilds_running", "Rebuilds in progress in this process.";
}

/// Rebuilds what is due in owned partitions, until the process stops.
pub async fn run(context: Context) {
    let stop = context.stop.clone();
    let (owner, snapshots) = (Uuid::new_v4(), Arc::new(Semaphore::new(SNAPSHOTS_MAX)));
    let backoff = Arc::new(Mutex::new(RebuildBackoff::default()));
    let permits = Arc::new(Semaphore::new(REBUILDS_MAX));
    let tasks = TaskTracker::new();
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        let owned = context.ownership.current();
        if owned.is_empty() {
            continue;
        }
        let targets = match read_targets(&context.pool, &owned, owner).await {
            Ok(targets) => targets,
            Err(error) => {
                tracing::debug!(%error, "could not read which sales are due for a rebuild");
                continue;
            }
        };
        for target in targets {
            let Ok(permit) = permits.clone().try_acquire_owned() else { break };
            if !backoff.lock().begin(&target.sale, target.cause, Instant::now()) {
                continue;
            }
            let attempt = Attempt { owner, journal: Journal::default(), snapshots: snapshots.clone() };
            let (context, backoff) = (context.clone(), backoff.clone());
            tasks.spawn(async move {
                RUNNING.increment(1.0);
                let rebuild = rebuild(&context, &target, &attempt);
                let outcome = context.stop.run_until_cancelled(rebuild).await;
                RUNNING.decrement(1.0);
                let outcome = outcome.unwrap_or(AttemptOutcome::Failed);
                backoff.lock().end(&target.sale, outcome, Instant::now());
                drop(permit);
            });
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn read_targets(pool: &Pool, owned: &[i32], owner: Uuid) -> Result<Vec<RebuildTarget>, DatabaseError> {
    let client = pool.get().await?;
    let stale_ms = DEAD_AFTER.as_millis() as f64;
    let rows = SelectRebuilds { partitions: owned, rebuild_by: owner, stale_ms }.fetch(&client).await?;
    let targets = rows.into_iter().map(|row| {
        let cause = match (row.rebuild_requested, row.by_operator) {
            (true, Some(true)) => RebuildCause::Operator,
            (true, _) => RebuildCause::StateLost,
            (false, _) => RebuildCause::Unfinished,
        };
        RebuildTarget { sale: row.sale_id, partition: row.partition, epoch: row.epoch, cause }
    });
    Ok(targets.collect())
}

/// Runs one attempt, and reports its outcome in logs and metrics.
async fn rebuild(context: &Context, target: &RebuildTarget, attempt: &Attempt) -> AttemptOutcome {
    let begun = Instant::now();
    let error = match attempt.run(context, target).await {
        Ok(rebuilt) => {
            SECONDS.record(begun.elapsed());
            tracing::info!(
                sale_id = %target.sale,
                partition = target.partition,
                epoch = rebuilt.epoch.0,
                orders = rebuilt.orders,
                took_ms = begun.elapsed().as_millis() as u64,
                "rebuilt the sale: it is ready to sell"
            );
            return AttemptOutcome::Ready;
        }
        Err(error @ RebuildError::NoRedis(_)) => {
            tracing::debug!(sale_id = %target.sale, %error, "a rebuild waits for Redis");
            return AttemptOutcome::NoRedis;
        }
        Err(error) => error,
    };
    FAILURES.increment(1);
    tracing::warn!(sale_id = %target.sale, partition = target.partition, after_epoch = target.epoch.0, %error, "a rebuild failed and will be retried in a new epoch");
    if let Err(error) = release_attempt(&context.pool, target, attempt.owner).await {
        tracing::debug!(sale_id = %target.sale, %error, "could not release the failed attempt; other settlers retry after its heartbeat expires");
    }
    AttemptOutcome::Failed
}

/// Releases a failed attempt, so that the next one need not wait for its heartbeat to expire.
async fn release_attempt(pool: &Pool, target: &RebuildTarget, owner: Uuid) -> Result<(), DatabaseError> {
    let client = pool.get().await?;
    LeaveRebuild { sale_id: &target.sale, rebuild_by: owner }.execute(&client).await?;
    Ok(())
}

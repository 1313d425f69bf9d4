//! Rebuilds: how a sale's state comes into Redis, the first opening included (ARCHITECTURE.md, "Epochs").
//!
//! | module      | step                                                                |
//! |-------------|---------------------------------------------------------------------|
//! | [`request`] | what proves that a rebuild is needed, and asking for it             |
//! | [`rebuild_backoff`]    | when an attempt may begin                                           |
//! | [`attempt`] | the protocol, from the new epoch to `ready`                         |
//! | [`journal`] | where an attempt is, for operators and other settlers               |
//! | [`fence`]   | what ends the old epoch: leases, outbox, barrier                    |
//! | [`items`]   | changes of items that had to wait for a rebuild                     |
//! | [`snapshot`] | the snapshot, written into Redis                                    |
//!
//! This module decides which sales are due, and runs a task for each.

pub mod attempt;
pub mod fence;
pub mod items;
pub mod journal;
pub mod rebuild_backoff;
pub mod request;
pub mod snapshot;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId};
use deadpool_postgres::Pool;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::attempt::{RebuildError, Run};
use self::journal::{DEAD_AFTER, Journal};
use self::rebuild_backoff::{Ended, RebuildBackoff, Wanted};
use crate::context::Context;
use crate::store::database::DatabaseError;

/// How often Postgres is asked which sales are due.
const EVERY: Duration = Duration::from_millis(100);
/// Rebuilds at once; most of their time they wait for leases to end.
const AT_ONCE: usize = 16;
/// Of them, so many read their orders: each holds a connection to Postgres meanwhile.
const SNAPSHOTS_AT_ONCE: usize = 4;

/// A sale that is to be rebuilt, as it was seen.
#[derive(Debug, Clone)]
pub struct Due {
    /// Which sale.
    pub sale: SaleId,
    /// Where its records go.
    pub partition: i32,
    /// The newest epoch so far.
    pub epoch: Epoch,
    /// By whom.
    pub wanted: Wanted,
}

/// What rebuilds count.
#[derive(Clone)]
struct Metrics {
    seconds: Histogram,
    failures: Counter,
    running: Gauge,
}

/// Rebuilds what is due in owned partitions, until the process stops.
pub async fn run(context: Context) {
    let stop = context.stop.clone();
    request::register();
    let metrics = Metrics {
        seconds: histogram!("rebuild_seconds"),
        failures: counter!("rebuild_failures_total"),
        running: gauge!("rebuilds_running"),
    };
    let (by, snapshots) = (Uuid::new_v4(), Arc::new(Semaphore::new(SNAPSHOTS_AT_ONCE)));
    let (pace, places) = (Arc::new(Mutex::new(RebuildBackoff::default())), Arc::new(Semaphore::new(AT_ONCE)));
    let tasks = TaskTracker::new();
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        let owned = context.ownership.now();
        if owned.is_empty() {
            continue;
        }
        let due = match due(&context.pool, &owned, by).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "cannot ask which sales are to be rebuilt");
                continue;
            }
        };
        for sale in due {
            let Ok(place) = places.clone().try_acquire_owned() else { break };
            if !lock(&pace).begin(&sale.sale, sale.wanted, Instant::now()) {
                continue;
            }
            let run = Run { by, journal: Journal::default(), snapshots: snapshots.clone() };
            let (context, pace, stop, metrics) =
                (context.clone(), pace.clone(), stop.clone(), metrics.clone());
            tasks.spawn(async move {
                metrics.running.increment(1.0);
                let ended = stop.run_until_cancelled(rebuild(&context, &sale, &run, &metrics)).await;
                metrics.running.decrement(1.0);
                lock(&pace).end(&sale.sale, ended.unwrap_or(Ended::Failed), Instant::now());
                drop(place);
            });
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn lock(pace: &Mutex<RebuildBackoff>) -> std::sync::MutexGuard<'_, RebuildBackoff> {
    // A panic while it was held cannot have left it half written: each use sets one sale's state.
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn due(pool: &Pool, owned: &[i32], by: Uuid) -> Result<Vec<Due>, DatabaseError> {
    let client = pool.get().await?;
    let select = client.prepare_cached(include_str!("../../../queries/select_rebuilds.sql")).await?;
    let dead_after = DEAD_AFTER.as_millis() as f64;
    let rows = client.query(&select, &[&owned, &by, &dead_after]).await?;
    let due = rows.iter().filter_map(|row| {
        let sale = SaleId::parse(row.get(0)).ok()?;
        let wanted = match (row.get(3), row.get::<_, Option<bool>>(4)) {
            (true, Some(true)) => Wanted::Operator,
            (true, _) => Wanted::Found,
            (false, _) => Wanted::Unfinished,
        };
        Some(Due { sale, partition: row.get(1), epoch: Epoch(row.get::<_, i64>(2) as u64), wanted })
    });
    Ok(due.collect())
}

/// One attempt.
async fn rebuild(context: &Context, due: &Due, run: &Run, metrics: &Metrics) -> Ended {
    let begun = Instant::now();
    let error = match attempt::attempt(context, due, run).await {
        Ok(built) => {
            metrics.seconds.record(begun.elapsed());
            tracing::info!(
                sale_id = %due.sale,
                partition = due.partition,
                epoch = built.epoch.0,
                orders = built.orders,
                took_ms = begun.elapsed().as_millis() as u64,
                "rebuilt: ready to sell"
            );
            return Ended::Ready;
        }
        Err(error @ RebuildError::NoRedis(_)) => {
            tracing::debug!(sale_id = %due.sale, %error, "a rebuild waits");
            return Ended::NoRedis;
        }
        Err(error) => error,
    };
    metrics.failures.increment(1);
    tracing::warn!(sale_id = %due.sale, partition = due.partition, after_epoch = due.epoch.0, %error, "a rebuild failed; a new epoch follows");
    if let Err(error) = leave(&context.pool, due, run.by).await {
        tracing::debug!(sale_id = %due.sale, %error, "the failed attempt counts as alive for a moment");
    }
    Ended::Failed
}

/// A failed attempt is not waited for.
async fn leave(pool: &Pool, due: &Due, by: Uuid) -> Result<(), DatabaseError> {
    let client = pool.get().await?;
    client.execute(include_str!("../../../queries/leave_rebuild.sql"), &[&due.sale.as_str(), &by]).await?;
    Ok(())
}

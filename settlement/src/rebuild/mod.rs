//! Rebuilds: how a sale's state comes into Redis, the first opening included (ARCHITECTURE.md, "Epochs").
//!
//! | module      | step                                                                |
//! |-------------|---------------------------------------------------------------------|
//! | [`attempt`] | the protocol, from the new epoch to `ready`                         |
//! | [`fence`]   | what ends the old epoch: leases, outbox, barrier                    |
//! | [`items`]   | changes of items that had to wait for a rebuild                     |
//! | [`restock`] | the snapshot, written into Redis                                    |
//!
//! This module decides which sales are due, and runs a task for each.

pub mod attempt;
pub mod fence;
pub mod items;
pub mod restock;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId};
use deadpool_postgres::Pool;
use metrics::{Counter, Histogram, counter, histogram};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use self::attempt::RebuildError;
use crate::backoff::Backoff;
use crate::database::DatabaseError;
use crate::handles::Handles;

/// How often Postgres is asked which sales are due.
const EVERY: Duration = Duration::from_millis(100);
/// Rebuilds at once: each holds a connection to Postgres while it reads its orders.
const AT_ONCE: usize = 4;
/// Longest pause after a failed attempt.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// A sale that is to be rebuilt, as it was seen.
#[derive(Debug, Clone)]
pub struct Due {
    /// Which sale.
    pub sale: SaleId,
    /// Where its records go.
    pub partition: i32,
    /// The newest epoch so far.
    pub epoch: Epoch,
}

/// What rebuilds count.
#[derive(Clone)]
struct Metrics {
    seconds: Histogram,
    failures: Counter,
}

/// Sales that are being rebuilt, or wait after a failure.
#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<HashMap<SaleId, Attempted>>>);

enum Attempted {
    Running(Backoff),
    Failed { backoff: Backoff, not_before: Instant },
}

impl Attempts {
    /// Whether an attempt may begin; then it has.
    fn begin(&self, sale: &SaleId) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let backoff = match all.get(sale) {
            None => Backoff::up_to(RETRY_MAX),
            Some(Attempted::Failed { backoff, not_before }) if *not_before <= Instant::now() => {
                backoff.clone()
            }
            Some(_) => return false,
        };
        all.insert(sale.clone(), Attempted::Running(backoff));
        true
    }

    fn end(&self, sale: &SaleId, done: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Attempted::Running(mut backoff)) = all.remove(sale)
            && !done
        {
            let not_before = Instant::now() + backoff.advance();
            all.insert(sale.clone(), Attempted::Failed { backoff, not_before });
        }
    }
}

/// Rebuilds what is due in owned partitions, until the process stops.
pub async fn run(handles: Handles) {
    let stop = handles.stop.clone();
    let metrics =
        Metrics { seconds: histogram!("rebuild_seconds"), failures: counter!("rebuild_failures_total") };
    let (attempts, places, tasks) =
        (Attempts::default(), Arc::new(Semaphore::new(AT_ONCE)), TaskTracker::new());
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        let owned = handles.ownership.now();
        if owned.is_empty() {
            continue;
        }
        let due = match due(&handles.pool, &owned).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "cannot ask which sales are to be rebuilt");
                continue;
            }
        };
        for sale in due {
            let Ok(place) = places.clone().try_acquire_owned() else { break };
            if !attempts.begin(&sale.sale) {
                continue;
            }
            let (handles, attempts, stop) = (handles.clone(), attempts.clone(), stop.clone());
            let metrics = metrics.clone();
            tasks.spawn(async move {
                let done = stop.run_until_cancelled(rebuild(&handles, &sale, &metrics)).await;
                attempts.end(&sale.sale, done == Some(true));
                drop(place);
            });
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn due(pool: &Pool, owned: &[i32]) -> Result<Vec<Due>, DatabaseError> {
    let client = pool.get().await?;
    let select = client.prepare_cached(include_str!("../../queries/select_rebuilds.sql")).await?;
    let rows = client.query(&select, &[&owned]).await?;
    let due = rows.iter().filter_map(|row| {
        let sale = SaleId::parse(row.get(0)).ok()?;
        Some(Due { sale, partition: row.get(1), epoch: Epoch(row.get::<_, i64>(2) as u64) })
    });
    Ok(due.collect())
}

/// One attempt; true when it ended well.
async fn rebuild(handles: &Handles, due: &Due, metrics: &Metrics) -> bool {
    let begun = Instant::now();
    match attempt::attempt(handles, due).await {
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
            true
        }
        Err(error @ RebuildError::NoRedis(_)) => {
            tracing::debug!(sale_id = %due.sale, %error, "a rebuild waits");
            false
        }
        Err(error) => {
            metrics.failures.increment(1);
            tracing::warn!(sale_id = %due.sale, partition = due.partition, after_epoch = due.epoch.0, %error, "a rebuild failed; a new epoch follows");
            false
        }
    }
}

//! The sweep over payments that are open for longer than an event needs: it makes up for whatever was missed.
//! Events only make it quick; what is to be done stands in Postgres.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use futures_util::stream::{self, StreamExt as _};
use metrics::gauge;
use process::backoff::Backoff;
use process::postgres::DatabaseError;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::payment::Payment;
use super::payment_worker::{PaymentWorker, WorkOutcome};

/// Payments that are read at once.
const PAGE: i64 = 500;
/// Payments that are worked on at once, beside those of events.
const AT_ONCE: usize = 16;
const SELECT: &str = include_str!("../../queries/select_open_payments.sql");

/// When to sweep.
#[derive(Debug, Clone, Copy)]
pub struct SweepSchedule {
    /// Between two sweeps.
    pub every: Duration,
    /// What is younger is left to events.
    pub after: Duration,
}

/// Sweeps until the process stops.
pub async fn run(
    pool: Pool,
    payment_worker: Arc<PaymentWorker>,
    pace: SweepSchedule,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    let mut ticks = tokio::time::interval(pace.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let swept = stop.run_until_cancelled(sweep(&pool, &payment_worker, pace.after)).await;
        match swept {
            None => return,
            Some(Ok(())) => backoff.reset(),
            Some(Err(error)) => {
                if backoff.should_log() {
                    tracing::warn!(%error, "open payments are not looked after at present");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

/// All of them once, oldest first, until the provider is not asked any more.
async fn sweep(pool: &Pool, payment_worker: &PaymentWorker, after: Duration) -> Result<(), DatabaseError> {
    payment_worker.expire_published();
    let (mut behind, mut open) = ((OffsetDateTime::UNIX_EPOCH, Uuid::nil()), 0);
    loop {
        let client = pool.get().await?;
        let select = client.prepare_cached(SELECT).await?;
        let rows = client.query(&select, &[&after.as_secs_f64(), &behind.0, &behind.1, &PAGE]).await?;
        drop(client);
        let payments: Vec<Payment> = rows.iter().filter_map(readable).collect();
        open += payments.len();
        let look = |payment: Payment| async move { recheck(payment_worker, &payment).await };
        let asked = stream::iter(payments).map(look).buffer_unordered(AT_ONCE);
        // To the end of the page: what was begun is not broken off.
        let done: Vec<WorkOutcome> = asked.collect().await;
        let circuit_open = done.contains(&WorkOutcome::CircuitOpen);
        gauge!("payments_open", "method" => "card").set(open as f64);
        match rows.last() {
            Some(last) if rows.len() == PAGE as usize && !circuit_open => behind = (last.get(9), last.get(0)),
            _ => return Ok(()),
        }
    }
}

/// One row that cannot be read must not keep the others from being looked after.
fn readable(row: &Row) -> Option<Payment> {
    Payment::from_row(row).inspect_err(|error| tracing::error!(%error, "a payment is not looked after")).ok()
}

async fn recheck(payment_worker: &PaymentWorker, payment: &Payment) -> WorkOutcome {
    payment_worker.recheck(payment).await.unwrap_or_else(|error| {
        tracing::warn!(order_id = %payment.order_id, %error, "a payment is left to the next sweep");
        WorkOutcome::Unresolved
    })
}

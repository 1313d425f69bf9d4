//! The sweep over payments that have been open for longer than an event takes. Events only make the work start early;
//! Postgres holds what must be done, so the sweep finds every payment that was missed.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use futures_util::stream::{self, StreamExt as _};
use process::backoff::Backoff;
use process::postgres::DatabaseError;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::payment::Payment;
use super::payment_worker::{PaymentWorker, WorkOutcome};
use crate::queries::{PaymentRow, SelectOpenPayments};

process::metrics! {
    static OPEN: Gauge["method"] = "payments_open", "Payments and refunds without a final result at the last sweep.";
}

/// The number of payments in a page.
const PAGE: i64 = 500;
/// The number of payments that the sweep works on concurrently, beside those of events.
const CONCURRENCY: usize = 16;

/// The schedule of the sweep.
#[derive(Debug, Clone, Copy)]
pub struct SweepSchedule {
    /// The interval between two sweeps.
    pub every: Duration,
    /// The age from which the sweep handles a payment. Younger payments are left to events.
    pub after: Duration,
}

/// Sweeps until the process stops.
pub async fn run(pool: Pool, worker: Arc<PaymentWorker>, schedule: SweepSchedule, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    let mut ticks = tokio::time::interval(schedule.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let swept = stop.run_until_cancelled(sweep(&pool, &worker, schedule.after)).await;
        match swept {
            None => return,
            Some(Ok(())) => backoff.reset(),
            Some(Err(error)) => {
                if backoff.should_log() {
                    tracing::warn!(%error, "cannot sweep the open payments");
                }
                backoff.pause(&stop).await;
            }
        }
    }
}

/// Handles all open payments once, oldest first, until the circuit to the provider opens.
async fn sweep(pool: &Pool, worker: &PaymentWorker, after: Duration) -> Result<(), DatabaseError> {
    worker.expire_published();
    let (mut cursor, mut open) = ((OffsetDateTime::UNIX_EPOCH, Uuid::nil()), 0);
    loop {
        let client = pool.get().await?;
        let select = SelectOpenPayments {
            age_seconds: after.as_secs_f64(),
            after_updated_at: cursor.0,
            after_payment_id: cursor.1,
            limit: PAGE,
        };
        let rows = select.fetch(&client).await?;
        drop(client);
        let full_page = rows.len() == PAGE as usize;
        let last = rows.last().map(|last| (last.updated_at, last.payment_id));
        let payments: Vec<Payment> = rows.into_iter().filter_map(decode).collect();
        open += payments.len();
        let work = |payment: Payment| async move { recheck(worker, &payment).await };
        let work = stream::iter(payments).map(work).buffer_unordered(CONCURRENCY);
        // The page is worked through to its end: calls in flight are not cancelled.
        let outcomes: Vec<WorkOutcome> = work.collect().await;
        let circuit_open = outcomes.contains(&WorkOutcome::CircuitOpen);
        OPEN.with(["card"]).set(open as f64);
        match last {
            Some(last) if full_page && !circuit_open => cursor = last,
            _ => return Ok(()),
        }
    }
}

/// Decodes a row. An invalid row must not prevent the sweep of the others.
fn decode(row: PaymentRow) -> Option<Payment> {
    Payment::from_row(row).inspect_err(|error| tracing::error!(%error, "skipping an invalid payment")).ok()
}

async fn recheck(worker: &PaymentWorker, payment: &Payment) -> WorkOutcome {
    worker.recheck(payment).await.unwrap_or_else(|error| {
        tracing::warn!(order_id = %payment.order_id, %error, "payment is left to the next sweep");
        WorkOutcome::Unresolved
    })
}

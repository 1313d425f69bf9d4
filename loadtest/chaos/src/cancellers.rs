//! Customers who cancel: long before their hold ends, at the same moment, or too late. Expiry and the command
//! race for the order, and the units are returned once, whichever wins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::ids::OrderId;
use parking_lot::Mutex;
use uuid::Uuid;

use super::load::{Load, SKUS};
use customers::arrivals;
use customers::customer_client::{CustomerClient, Request};
use customers::request;
use fastrand::Rng;

/// The delay after the end of a hold until the order expires: a tick expires the orders that were due a
/// second before it, and there are five ticks a second.
const EXPIRY_AFTER: Duration = Duration::from_millis(1_000);
/// The width of the window around that moment in which the race runs, in milliseconds.
const RACE_WINDOW_MS: u64 = 700;
/// The longest wait until the sale has no live order.
const CANCELLED_LIMIT: Duration = Duration::from_secs(60);
/// The polling interval.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// A cancellation that was acknowledged.
#[derive(Debug)]
struct Cancelled {
    order: OrderId,
    /// Whether it was acknowledged before the hold ended, by the customer's clock.
    in_time: bool,
}

/// The acknowledged cancellations.
#[derive(Debug, Default)]
pub struct Races {
    cancelled: Arc<Mutex<Vec<Cancelled>>>,
}

impl Load {
    /// Runs `count` customers, who order one unit and cancel around the end of their hold.
    pub async fn run_cancellers(&self, count: u64, within: Duration, hold: Duration, seed: u64) -> Races {
        let races = Races::default();
        let (client, sale, cancelled) = (self.client(), self.sale(), &races.cancelled);
        let customer = |n: u64, intended| {
            let (client, sale, cancelled) = (Arc::clone(client), Arc::clone(sale), Arc::clone(cancelled));
            let mut rng = Rng::with_seed(seed ^ (n << 20));
            async move {
                let name = format!("canceller-{n:05}");
                let order = request::order_with_lines(&[(SKUS[rng.usize(0..2)], 1)]);
                let request = Request::order(&sale, &name, &name, order);
                let response = client.send_with_retries(&request, n as usize, intended).await.response;
                let held_since = Instant::now();
                let Some(order) = response.order_id.filter(|_| response.is_accepted()) else { return };
                tokio::time::sleep(pause_before_cancelling(&mut rng, hold)).await;
                if cancel(&client, &sale, &name, order, &mut rng).await {
                    let in_time = held_since.elapsed() < hold;
                    let mut cancelled = cancelled.lock();
                    cancelled.push(Cancelled { order, in_time });
                }
            }
        };
        arrivals::run(count, within, |_| {}, customer).await;
        self.count_extra_customers(count);
        races
    }
}

/// Returns the time from the acceptance to the cancellation.
fn pause_before_cancelling(rng: &mut Rng, hold: Duration) -> Duration {
    let expiry = hold + EXPIRY_AFTER;
    match rng.u32(0..4) {
        0 => Duration::from_millis(rng.u64(0..hold.as_millis() as u64)),
        1 => expiry + Duration::from_millis(RACE_WINDOW_MS + rng.u64(0..1_000)),
        _ => {
            expiry + Duration::from_millis(rng.u64(0..RACE_WINDOW_MS))
                - Duration::from_millis(RACE_WINDOW_MS / 3)
        }
    }
}

/// Cancels an order, sometimes at both gateways at once. Returns whether the cancellation was acknowledged.
async fn cancel(client: &CustomerClient, sale: &str, customer: &str, order: OrderId, rng: &mut Rng) -> bool {
    let gateway = rng.usize(0..2);
    if rng.u32(0..4) > 0 {
        return client.cancel(sale, customer, order, gateway).await == Some(202);
    }
    let (one, two) =
        tokio::join!(client.cancel(sale, customer, order, 0), client.cancel(sale, customer, order, 1));
    one == Some(202) || two == Some(202)
}

impl Races {
    /// Waits until every order is cancelled, and checks that those that were cancelled in time were cancelled
    /// by their customers: no expiry may overtake a command that was acknowledged before it.
    pub async fn check(self, database: &tokio_postgres::Client, sale: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let live = "SELECT count(*) FROM customer_order WHERE sale_id = $1 AND status <> 'cancelled'";
            let live: i64 = database.query_one(live, &[&sale]).await?.try_get(0)?;
            if live == 0 {
                break;
            }
            anyhow::ensure!(
                begun.elapsed() < CANCELLED_LIMIT,
                "{live} orders are still live {CANCELLED_LIMIT:?} after their holds"
            );
            tokio::time::sleep(POLL_EVERY).await;
        }
        let in_time: Vec<Uuid> = {
            let cancelled = self.cancelled.lock();
            cancelled
                .iter()
                .filter(|cancelled| cancelled.in_time)
                .map(|cancelled| cancelled.order.0)
                .collect()
        };
        let expired = "SELECT order_id::text, cancel_reason FROM customer_order \
                         WHERE order_id = ANY ($1) AND cancel_reason IS DISTINCT FROM 'customer'";
        let expired = database.query(expired, &[&in_time]).await?;
        if let Some(row) = expired.first() {
            let (order, reason): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            anyhow::bail!(
                "{} of {} orders were cancelled in time and have another reason, for example {order}: {reason:?}",
                expired.len(),
                in_time.len()
            );
        }
        let reasons =
            "SELECT cancel_reason, count(*) FROM customer_order WHERE sale_id = $1 GROUP BY 1 ORDER BY 1";
        let reasons = database.query(reasons, &[&sale]).await.context("reasons")?;
        let reasons: Vec<_> = reasons
            .iter()
            .map(|row| {
                let (reason, count): (Option<String>, i64) = (row.get(0), row.get(1));
                format!("{count} by {}", reason.unwrap_or_else(|| "no reason".into()))
            })
            .collect();
        println!("          cancelled orders: {}", reasons.join(", "));
        Ok(())
    }
}

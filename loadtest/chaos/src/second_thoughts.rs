//! Customers who cancel: long before their hold ends, at the very moment, or too late. Expiry and the
//! command then race for the order, and whoever wins, its units come back once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::ids::OrderId;
use indicatif::ProgressBar;
use uuid::Uuid;

use super::load::{Load, SKUS};
use customers::arrivals;
use customers::crowd::Dice;
use customers::request;
use customers::shop::{Request, Shop};

/// A hold's end is noticed so much later: a tick expires what was due a second before it, and ticks come
/// five times a second.
const EXPIRY_AFTER: Duration = Duration::from_millis(1_000);
/// How far around that moment the race is run.
const RACE: u64 = 700;
/// Longest wait until no order of the sale is live.
const GONE_LIMIT: Duration = Duration::from_secs(60);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A cancellation that was acknowledged.
#[derive(Debug)]
struct Cancelled {
    order: OrderId,
    /// Before the hold had ended, by the customer's clock.
    in_time: bool,
}

/// What became of the races.
#[derive(Debug, Default)]
pub struct Races {
    cancelled: Arc<Mutex<Vec<Cancelled>>>,
}

impl Load {
    /// So many customers come, order one thing, and cancel at some time around the end of their hold.
    pub async fn come_and_cancel(&self, count: u64, within: Duration, hold: Duration, seed: u64) -> Races {
        let races = Races::default();
        let (shop, sale, cancelled) = (self.shop(), self.sale(), &races.cancelled);
        arrivals::run(
            count,
            within,
            &ProgressBar::hidden(),
            |_| {},
            |n, intended| {
                let (shop, sale, cancelled) = (Arc::clone(shop), Arc::clone(sale), Arc::clone(cancelled));
                let mut dice = Dice::new(seed ^ (n << 20));
                async move {
                    let name = format!("waverer-{n:05}");
                    let sku = SKUS[dice.roll(2) as usize];
                    let order = Request::order(&sale, &name, &name, request::body(&[(sku, 1)]));
                    let told = shop.ask(&order, n as usize, intended).await;
                    let held_since = Instant::now();
                    let Some(id) = told.answer.order_id.filter(|_| told.answer.is_accepted()) else { return };
                    tokio::time::sleep(when(&mut dice, hold)).await;
                    if cancel(&shop, &sale, &name, id, &mut dice).await {
                        let in_time = held_since.elapsed() < hold;
                        cancelled
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(Cancelled { order: id, in_time });
                    }
                }
            },
        )
        .await;
        self.also_came(count);
        races
    }
}

/// From the 202 to the cancellation.
fn when(dice: &mut Dice, hold: Duration) -> Duration {
    let expiry = hold + EXPIRY_AFTER;
    match dice.roll(4) {
        0 => Duration::from_millis(dice.roll(hold.as_millis() as u64)),
        1 => expiry + Duration::from_millis(RACE + dice.roll(1_000)),
        _ => expiry + Duration::from_millis(dice.roll(RACE)) - Duration::from_millis(RACE / 3),
    }
}

/// Whether the cancellation was acknowledged. Some customers send it to both gateways at once.
async fn cancel(shop: &Shop, sale: &str, customer: &str, order: OrderId, dice: &mut Dice) -> bool {
    let gateway = dice.roll(2) as usize;
    if dice.roll(4) > 0 {
        return shop.cancel(sale, customer, order, gateway).await == Some(202);
    }
    let (one, two) =
        tokio::join!(shop.cancel(sale, customer, order, 0), shop.cancel(sale, customer, order, 1));
    one == Some(202) || two == Some(202)
}

impl Races {
    /// Waits until every order is cancelled, and finds out whether those that were cancelled in time were
    /// cancelled by their customers: no expiry may overtake a command that was acknowledged before it.
    pub async fn end(self, database: &tokio_postgres::Client, sale: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let live = "SELECT count(*) FROM customer_order WHERE sale_id = $1 AND status <> 'cancelled'";
            let live: i64 = database.query_one(live, &[&sale]).await?.try_get(0)?;
            if live == 0 {
                break;
            }
            anyhow::ensure!(
                begun.elapsed() < GONE_LIMIT,
                "{live} orders outlive their holds by {GONE_LIMIT:?}"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let in_time: Vec<Uuid> = {
            let cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
            cancelled
                .iter()
                .filter(|cancelled| cancelled.in_time)
                .map(|cancelled| cancelled.order.0)
                .collect()
        };
        let otherwise = "SELECT order_id::text, cancel_reason FROM customer_order \
                         WHERE order_id = ANY ($1) AND cancel_reason IS DISTINCT FROM 'customer'";
        let otherwise = database.query(otherwise, &[&in_time]).await?;
        if let Some(row) = otherwise.first() {
            let (order, reason): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            anyhow::bail!(
                "{} of {} orders were cancelled in time and ended otherwise, such as {order} by {reason:?}",
                otherwise.len(),
                in_time.len()
            );
        }
        let by =
            "SELECT cancel_reason, count(*) FROM customer_order WHERE sale_id = $1 GROUP BY 1 ORDER BY 1";
        let by = database.query(by, &[&sale]).await.context("reasons")?;
        let by: Vec<_> = by
            .iter()
            .map(|row| {
                let (reason, count): (Option<String>, i64) = (row.get(0), row.get(1));
                format!("{count} by {}", reason.unwrap_or_else(|| "nobody".into()))
            })
            .collect();
        println!("          races for orders: {}", by.join(", "));
        Ok(())
    }
}

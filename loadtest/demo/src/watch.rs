//! How far settlement is behind while the burst goes on: orders told of, against rows in Postgres.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use checker::postgres;
use customers::shop::Shop;

/// How often Postgres is asked.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(25);

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    /// Most orders that were told of and not yet settled.
    pub(super) orders_max: u64,
    /// Rows at the end.
    pub(super) settled: u64,
    /// From the last order's 202 until Postgres was seen to hold all of them, to [`ASK_EVERY`];
    /// `None`: it never was.
    pub(super) after_last: Option<Duration>,
}

/// Asks until it is told that the burst is over and all orders have arrived, or time is up.
pub(super) struct Watcher {
    over: watch::Sender<Option<Instant>>,
    task: JoinHandle<anyhow::Result<Behind>>,
}

impl Watcher {
    /// Starts asking.
    pub(super) async fn start(database_url: &str, sale: &str, shop: Arc<Shop>) -> anyhow::Result<Self> {
        let client = postgres::connect(database_url).await?;
        let sale = sale.to_owned();
        let (over, told) = watch::channel(None);
        let task = tokio::spawn(async move {
            let query = "SELECT count(*) FROM customer_order WHERE sale_id = $1";
            let query = client.prepare(query).await?;
            let mut behind = Behind { orders_max: 0, settled: 0, after_last: None };
            // The first moment at which Postgres held this many.
            let mut reached = (0, Instant::now());
            loop {
                let rows: i64 = client.query_one(&query, &[&sale]).await?.try_get(0)?;
                behind.settled = u64::try_from(rows)?;
                let now = Instant::now();
                let (orders, last) = {
                    let tally = shop.tally();
                    (tally.orders.len() as u64, tally.last_accepted)
                };
                behind.orders_max = behind.orders_max.max(orders.saturating_sub(behind.settled));
                if behind.settled > reached.0 {
                    reached = (behind.settled, now);
                }
                let deadline = *told.borrow();
                if let Some(deadline) = deadline {
                    if behind.settled >= orders {
                        behind.after_last = last.map(|last| reached.1.saturating_duration_since(last));
                        return Ok(behind);
                    }
                    if now >= deadline {
                        return Ok(behind);
                    }
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        Ok(Self { over, task })
    }

    /// The burst is over: waits until all orders are settled, at most for `limit`.
    pub(super) async fn finish(self, limit: Duration) -> anyhow::Result<Behind> {
        self.over.send_replace(Some(Instant::now() + limit));
        self.task.await.context("watching settlement")?
    }
}

//! The lag of settlement during the burst: acknowledged orders compared with rows in Postgres.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use checker::postgres;
use customers::customer_client::CustomerClient;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

/// The interval at which Postgres is polled.
pub(super) const POLL_EVERY: Duration = Duration::from_millis(25);

const COUNT: &str = "SELECT count(*) FROM customer_order WHERE sale_id = $1";

/// The lag of settlement.
#[derive(Debug, Clone, Copy)]
pub(super) struct SettlementLag {
    /// The highest number of acknowledged orders that were not settled yet.
    pub(super) orders_max: u64,
    /// The number of rows in the end.
    pub(super) settled: u64,
    /// The time from the last order's 202 until Postgres held all orders, with a resolution of
    /// [`POLL_EVERY`]; `None` when it did not in time.
    pub(super) after_last: Option<Duration>,
}

/// Polls Postgres until the burst has ended and all orders are settled, or until the time is up.
pub(super) struct LagMonitor {
    deadline: watch::Sender<Option<Instant>>,
    task: JoinHandle<anyhow::Result<SettlementLag>>,
}

impl LagMonitor {
    /// Starts polling Postgres.
    pub(super) async fn start(
        database_url: &str,
        sale: &str,
        client: Arc<CustomerClient>,
    ) -> anyhow::Result<Self> {
        let database = postgres::connect(database_url).await?;
        let (sender, deadline) = watch::channel(None);
        let task = tokio::spawn(monitor(database, sale.to_owned(), client, deadline));
        Ok(Self { deadline: sender, task })
    }

    /// Ends the burst: waits until all orders are settled, at most for `limit`.
    pub(super) async fn finish(self, limit: Duration) -> anyhow::Result<SettlementLag> {
        self.deadline.send_replace(Some(Instant::now() + limit));
        self.task.await.context("monitoring settlement")?
    }
}

async fn monitor(
    database: Client,
    sale: String,
    client: Arc<CustomerClient>,
    deadline: watch::Receiver<Option<Instant>>,
) -> anyhow::Result<SettlementLag> {
    let query = database.prepare(COUNT).await?;
    let mut lag = SettlementLag { orders_max: 0, settled: 0, after_last: None };
    // The highest number of rows so far, and when it was first observed.
    let mut reached = (0, Instant::now());
    loop {
        let rows: i64 = database.query_one(&query, &[&sale]).await?.try_get(0)?;
        lag.settled = u64::try_from(rows)?;
        let now = Instant::now();
        let (orders, last_accepted) = {
            let stats = client.stats();
            (stats.orders.len() as u64, stats.last_accepted)
        };
        lag.orders_max = lag.orders_max.max(orders.saturating_sub(lag.settled));
        if lag.settled > reached.0 {
            reached = (lag.settled, now);
        }
        let deadline = *deadline.borrow();
        if let Some(deadline) = deadline {
            if lag.settled >= orders {
                lag.after_last = last_accepted.map(|last| reached.1.saturating_duration_since(last));
                return Ok(lag);
            }
            if now >= deadline {
                return Ok(lag);
            }
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

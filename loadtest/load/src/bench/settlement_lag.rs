//! The lag of settlement behind the log: from its own metric during a run, and from the position after it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use contract::ids::{OrderId, SaleId};
use contract::topics;
use tokio_postgres::Client;

use super::request_loop::Payable;
use checker::log::LogReader;
use checker::postgres;
use checker::settings::Services;
use customers::admin;

/// The interval at which the metric is scraped during a run.
const SCRAPE_EVERY: Duration = Duration::from_millis(500);
/// The interval at which the position is polled after a run.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// The longest wait until settlement has caught up.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

/// The highest `settlement_lag_seconds` scraped so far.
#[derive(Debug, Default)]
pub(super) struct LagMaximum(Cell<Option<f64>>);

impl LagMaximum {
    /// Scrapes the metric until the future is dropped.
    pub(super) async fn watch(&self, settlement_url: &str) {
        loop {
            if let Ok(page) = admin::fetch_metrics(settlement_url).await
                && let Some(lag) = admin::metric_max(&page, "settlement_lag_seconds")
            {
                self.0.set(Some(self.0.get().map_or(lag, |highest| highest.max(lag))));
            }
            tokio::time::sleep(SCRAPE_EVERY).await;
        }
    }

    /// Returns the highest lag in seconds; `None` when no scrape succeeded.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.0.get()
    }
}

/// The progress of settlement on a sale's partition.
pub(super) struct SettlementProgress {
    postgres: Client,
    sale: SaleId,
    partition: i32,
    reader: Option<LogReader>,
}

impl SettlementProgress {
    /// Connects to the services of a sale.
    pub(super) async fn connect(services: &Services, sale: &str) -> anyhow::Result<Self> {
        let postgres = postgres::connect(&services.database_url).await?;
        let sale = SaleId::parse(sale)?;
        let row =
            postgres.query_one("SELECT partition FROM sale WHERE sale_id = $1", &[&sale.as_str()]).await?;
        let reader = Some(LogReader::new(services)?);
        Ok(Self { postgres, sale, partition: row.try_get(0)?, reader })
    }

    /// Waits until every record that is now in the log is settled. Returns the time that it took.
    pub(super) async fn catch_up(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let Some(reader) = self.reader.take() else { anyhow::bail!("the reader of the log was lost") };
        let partition = self.partition;
        let (end, reader) = tokio::task::spawn_blocking(move || {
            let end = reader.end_offset(topics::ORDERS.name, partition);
            (end, reader)
        })
        .await?;
        self.reader = Some(reader);
        let end = end?;
        let query = "SELECT next_offset FROM log_position WHERE topic = $1 AND partition = $2";
        loop {
            let row = self.postgres.query_opt(query, &[&topics::ORDERS.name, &partition]).await?;
            let position: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
            if position >= end {
                return Ok(begun.elapsed());
            }
            anyhow::ensure!(
                begun.elapsed() < CATCH_UP_LIMIT,
                "settlement still lags by {} records after {} s",
                end - position,
                CATCH_UP_LIMIT.as_secs()
            );
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Returns up to `limit` orders of the sale that can be paid.
    pub(super) async fn payable_orders(&self, limit: i64) -> anyhow::Result<Vec<Payable>> {
        let query = "SELECT order_id, customer_id FROM customer_order WHERE sale_id = $1 AND status = 'created' \
                     ORDER BY sequence LIMIT $2";
        let rows = self.postgres.query(query, &[&self.sale.as_str(), &limit]).await?;
        rows.iter().map(|row| Ok((OrderId(row.try_get(0)?), row.try_get(1)?))).collect()
    }

    /// Returns the number of the sale's payments in Postgres.
    pub(super) async fn count_payments(&self) -> anyhow::Result<u64> {
        let query = "SELECT count(*) FROM payment WHERE sale_id = $1";
        let rows: i64 = self.postgres.query_one(query, &[&self.sale.as_str()]).await?.try_get(0)?;
        Ok(u64::try_from(rows)?)
    }

    /// Returns the number of the sale's orders in Postgres.
    pub(super) async fn count_orders(&self) -> anyhow::Result<u64> {
        let query = "SELECT count(*) FROM customer_order WHERE sale_id = $1";
        let rows: i64 = self.postgres.query_one(query, &[&self.sale.as_str()]).await?.try_get(0)?;
        Ok(u64::try_from(rows)?)
    }
}

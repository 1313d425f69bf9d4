//! How far settlement is behind the log: by its own metric while a run goes on, by the position when
//! it has ended.

use std::cell::Cell;
use std::time::{Duration, Instant};

use contract::ids::{OrderId, SaleId};
use contract::topics;
use tokio_postgres::Client;

use super::closed_loop::Payable;
use checker::log::Reader;
use checker::postgres;
use customers::admin;
use customers::settings::Services;

/// How often settlement is asked during a run.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How often the position is looked at after it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longest wait for settlement to catch up.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

/// The highest `settlement_lag_seconds` seen.
#[derive(Debug, Default)]
pub(super) struct LagSeen(Cell<Option<f64>>);

impl LagSeen {
    /// Asks again and again; ends with the run that it is beside of.
    pub(super) async fn watch(&self, settlement_url: &str) {
        loop {
            if let Ok(page) = admin::metrics(settlement_url).await
                && let Some(lag) = admin::metric_max(&page, "settlement_lag_seconds")
            {
                self.0.set(Some(self.0.get().map_or(lag, |seen| seen.max(lag))));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
    /// In seconds; `None`: settlement was never heard.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.0.get()
    }
}

/// Settlement's way to the end of a sale's partition.
pub(super) struct Settled {
    postgres: Client,
    sale: SaleId,
    partition: i32,
    reader: Option<Reader>,
}

impl Settled {
    /// Of one sale.
    pub(super) async fn of(services: &Services, sale: &str) -> anyhow::Result<Self> {
        let postgres = postgres::connect(&services.database_url).await?;
        let sale = SaleId::parse(sale)?;
        let row =
            postgres.query_one("SELECT partition FROM sale WHERE sale_id = $1", &[&sale.as_str()]).await?;
        let reader = Some(Reader::new(services)?);
        Ok(Self { postgres, sale, partition: row.try_get(0)?, reader })
    }

    /// Waits until everything that is in the log now is settled; returns how long that took.
    pub(super) async fn catch_up(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let Some(reader) = self.reader.take() else { anyhow::bail!("the log's reader was lost") };
        let partition = self.partition;
        let (end, reader) = tokio::task::spawn_blocking(move || {
            let end = reader.end(topics::ORDERS.name, partition);
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
                "settlement is still {} records behind after {} s",
                end - position,
                CATCH_UP_LIMIT.as_secs()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Orders of the sale that can be paid.
    pub(super) async fn payable(&self, most: i64) -> anyhow::Result<Vec<Payable>> {
        let query = "SELECT order_id, customer_id FROM customer_order WHERE sale_id = $1 AND status = 'created' \
                     ORDER BY sequence LIMIT $2";
        let rows = self.postgres.query(query, &[&self.sale.as_str(), &most]).await?;
        rows.iter().map(|row| Ok((OrderId(row.try_get(0)?), row.try_get(1)?))).collect()
    }

    /// The sale's payments in Postgres.
    pub(super) async fn payments(&self) -> anyhow::Result<u64> {
        let query = "SELECT count(*) FROM payment WHERE sale_id = $1";
        let rows: i64 = self.postgres.query_one(query, &[&self.sale.as_str()]).await?.try_get(0)?;
        Ok(u64::try_from(rows)?)
    }

    /// The sale's orders in Postgres.
    pub(super) async fn orders(&self) -> anyhow::Result<u64> {
        let query = "SELECT count(*) FROM customer_order WHERE sale_id = $1";
        let rows: i64 = self.postgres.query_one(query, &[&self.sale.as_str()]).await?.try_get(0)?;
        Ok(u64::try_from(rows)?)
    }
}

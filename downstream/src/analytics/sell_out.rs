//! Records when an item sold out for the first time. The time is computed from the orders themselves, once for each
//! item, when all of its units are held or sold according to Postgres. (An item that sells out and gets units back
//! between two checks is detected when it sells out again.)

use std::time::Duration;

use deadpool_postgres::Pool;
use process::postgres::DatabaseError;

use crate::host::Host;
use crate::queries::{AnalyticsRecordSellOut, AnalyticsSoldOut};

/// The interval between two checks.
const EVERY: Duration = Duration::from_secs(2);

/// Checks the items until the host stops.
pub async fn run(host: Host, pool: Pool) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while host.stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = record_sell_outs(&pool).await {
            // The health check reports that Postgres is down.
            tracing::debug!(%error, "cannot record sell-outs, retrying later");
        }
    }
}

async fn record_sell_outs(pool: &Pool) -> Result<(), DatabaseError> {
    let client = pool.get().await?;
    let sold_out = AnalyticsSoldOut {}.fetch(&client).await?;
    for item in sold_out {
        let record = AnalyticsRecordSellOut { sale_id: &item.sale_id, sku: &item.sku, units: item.total };
        if record.execute(&client).await? > 0 {
            tracing::info!(sale_id = %item.sale_id, sku = %item.sku, "item has sold out");
        }
    }
    Ok(())
}

//! Notes when an item had nothing left for the first time: asked of the orders themselves, once an item, when
//! Postgres shows that all of its units are held or sold. (An item that sold out and got units back between
//! two looks is found out at the next time that it has nothing left.)

use std::time::Duration;

use deadpool_postgres::Pool;
use process::postgres::DatabaseError;

use crate::host::Host;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Looks until the host stops.
pub async fn run(host: Host, pool: Pool) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while host.stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = look(&pool).await {
            tracing::debug!(%error, "sell-outs are noted later"); // health tells that Postgres is away
        }
    }
}

async fn look(pool: &Pool) -> Result<(), DatabaseError> {
    let client = pool.get().await?;
    let select = client.prepare_cached(include_str!("../../queries/analytics/sold_out.sql")).await?;
    let note = client.prepare_cached(include_str!("../../queries/analytics/note_sell_out.sql")).await?;
    for row in client.query(&select, &[]).await? {
        let (sale, sku, total): (&str, &str, i64) = (row.get(0), row.get(1), row.get(2));
        if client.execute(&note, &[&sale, &sku, &total]).await? > 0 {
            tracing::info!(sale, sku, "sold out");
        }
    }
    Ok(())
}

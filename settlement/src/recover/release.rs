//! Units on their way back to Redis. Postgres has decided; the script applies each release once, by a
//! watermark that it keeps itself and that it is asked for every time: there is no cursor here to lose.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::ids::{CustomerId, OrderId, Sku};
use contract::keys::buyer_field;
use contract::topics::ORDERS;
use deadpool_postgres::Pool;
use lua::read_stock::read_stock;
use lua::release::{Release, ReleaseOutcome, release};
use lua::{Redis, RedisError};
use metrics::{Counter, counter};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::context::Context;
use crate::recover::ready_sales::{self, ReadySale};
use crate::recover::rebuild::request::{self, Reason};
use crate::store::database::DatabaseError;

/// Looks so often even if nobody says that there is something to release.
const EVERY: Duration = Duration::from_secs(1);
/// Rows of one call: the script must not hold Redis up.
const ROWS_MAX: i64 = 500;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
}
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// What it counts.
struct Metrics {
    releases: Counter,
    ahead: Counter,
}

/// Releases what is due in owned partitions, until the process stops.
pub async fn run(context: Context) {
    let Context { pool, redis, ownership, progress, stop, .. } = context;
    let metrics = Metrics {
        releases: counter!("settlement_releases_total"),
        ahead: counter!("settlement_watermark_ahead_total"),
    };
    while !stop.is_cancelled() {
        let woken = async { drop(tokio::time::timeout(EVERY, progress.releases()).await) };
        stop.run_until_cancelled(woken).await;
        let sales = match sales(&pool, &ownership.now()).await {
            Ok(sales) => sales,
            Err(error) => {
                tracing::debug!(%error, "cannot ask which sales are ready");
                continue;
            }
        };
        for sale in sales {
            if stop.is_cancelled() {
                return;
            }
            if let Err(error) = release_all(&pool, &redis, &sale, &metrics).await {
                tracing::debug!(sale_id = %sale.sale, %error, "units were not released, trying again");
            }
        }
    }
}

async fn sales(pool: &Pool, owned: &[i32]) -> Result<Vec<ReadySale>, DatabaseError> {
    let client = pool.get().await?;
    ready_sales::read(&client, owned).await
}

async fn release_all(pool: &Pool, redis: &Redis, sale: &ReadySale, metrics: &Metrics) -> Result<(), Error> {
    let nothing: [Sku; 0] = [];
    let looked = read_stock(redis, &sale.scripts.read_stock, &sale.keys, nothing.iter(), 0, false).await;
    request::request_if_lost(pool, sale, &looked).await?;
    let Ok(looked) = looked? else { return Ok(()) }; // lost: a rebuild will have it all
    let mut watermark = looked.released;
    loop {
        let due = due(pool, sale, watermark).await?;
        let (due, more) = match due {
            Due::Nothing => return Ok(()),
            Due::Ahead { last } => {
                metrics.ahead.increment(1);
                tracing::error!(sale_id = %sale.sale, epoch = sale.epoch.0, watermark, last, "Redis has released what Postgres does not know");
                let client = pool.get().await.map_err(DatabaseError::from)?;
                request::request(&client, &sale.sale, sale.epoch, Reason::WatermarkAhead).await?;
                return Ok(());
            }
            Due::Some { release, more } => (release, more),
        };
        fault::point!("settlement.before_release");
        let released = release(redis, &sale.scripts.release, &sale.keys, &due).await;
        request::request_if_lost(pool, sale, &released).await?;
        match released? {
            Ok(ReleaseOutcome::Applied) => {
                metrics.releases.increment(due.units.len() as u64);
                let units: u64 = due.units.iter().map(|(_, units)| units).sum();
                tracing::info!(sale_id = %sale.sale, units, to = due.to, changes = due.settled_changes.len(), cancelled = due.cancelled.len(), "released");
                watermark = due.to;
            }
            // Another process was quicker: what it has applied must not be applied again.
            Ok(ReleaseOutcome::OtherWatermark(at)) if at > watermark => watermark = at,
            Ok(ReleaseOutcome::OtherWatermark(_)) | Err(_) => return Ok(()), // another state: look again later
        }
        if !more {
            return Ok(());
        }
    }
}

enum Due {
    Nothing,
    /// The watermark lies behind the last sequence that Postgres knows.
    Ahead {
        last: u64,
    },
    Some {
        release: Release,
        more: bool,
    },
}

async fn due(pool: &Pool, sale: &ReadySale, watermark: u64) -> Result<Due, Error> {
    let client = pool.get().await.map_err(DatabaseError::from)?;
    let select = client.prepare_cached(include_str!("../../queries/select_releases.sql")).await?;
    let after = i64::try_from(watermark).unwrap_or(i64::MAX);
    let rows = client.query(&select, &[&sale.sale.as_str(), &after, &ROWS_MAX]).await?;
    let Some(last) = rows.last() else {
        let select = client.prepare_cached(include_str!("../../queries/select_next_seq.sql")).await?;
        let next: i64 = client.query_one(&select, &[&ORDERS.name, &sale.partition]).await?.get(0);
        return Ok(if after >= next { Due::Ahead { last: (next - 1) as u64 } } else { Due::Nothing });
    };
    let mut release = Release { after: watermark, to: last.get::<_, i64>(0) as u64, ..Release::default() };
    let mut units: BTreeMap<Sku, u64> = BTreeMap::new();
    for row in &rows {
        let back = row.get::<_, i64>(2) as u64; // checked to be >= 0 by the table
        if let Some(sku) = row.get::<_, Option<&str>>(1).and_then(|sku| Sku::parse(sku).ok())
            && back > 0
        {
            *units.entry(sku).or_default() += back;
        }
        if let Some(cancelled) = cancelled(row)
            && release.cancelled.last() != Some(&cancelled)
        {
            release.cancelled.push(cancelled); // once, for all its lines
        }
        if let Some(change) = row.get(3)
            && !release.settled_changes.contains(&change)
        {
            release.settled_changes.push(change);
        }
    }
    release.units = units.into_iter().collect();
    Ok(Due::Some { release, more: rows.len() == ROWS_MAX as usize })
}

/// The order that gave its units back, and where Redis remembers it.
fn cancelled(row: &Row) -> Option<(Vec<u8>, OrderId)> {
    let order = OrderId(row.get::<_, Option<Uuid>>(4)?);
    let customer = CustomerId::parse(row.get::<_, Option<&str>>(5)?).ok()?;
    let limited: bool = row.get(6);
    Some((buyer_field(&customer, order.request(), limited), order))
}

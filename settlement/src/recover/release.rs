//! Releases units back to Redis. Postgres has decided the releases; the script applies each once, by a watermark that it
//! stores itself and that is read before every release: settlement has no cursor that could be lost.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::ids::{OrderId, Sku};
use contract::keys::buyer_field;
use contract::topics::ORDERS;
use deadpool_postgres::Pool;
use lua::Redis;
use lua::read_stock::read_stock;
use lua::release::{Release, ReleaseOutcome, release};

use super::ready_sales::{self, ReadySale};
use super::rebuild::request::{self, Reason};
use crate::context::Context;
use crate::context::task_error::TaskError;
use crate::queries::{SelectNextSeq, SelectReleases, SelectReleasesRow};
use crate::store::database::DatabaseError;
use invariants::position;
use process::invariant;

/// The interval at which sales are polled when the settle loop reports no release.
const EVERY: Duration = Duration::from_secs(1);
/// The maximum number of rows per call: the script must not block Redis.
const ROWS_MAX: i64 = 500;

process::metrics! {
    static RELEASES: Counter = "settlement_releases_total", "Releases of units that Redis has applied, per sale and SKU.";
    static WATERMARK_AHEAD: Counter = "settlement_watermark_ahead_total",
        "Releases that found the watermark in Redis ahead of Postgres; each requests a rebuild of the sale.";
}

/// Releases what is due in owned partitions, until the process stops.
pub async fn run(context: Context) {
    let Context { pool, redis, ownership, progress, stop, .. } = context;
    while !stop.is_cancelled() {
        let wait = async { drop(tokio::time::timeout(EVERY, progress.wait_for_releases()).await) };
        stop.run_until_cancelled(wait).await;
        let sales = match owned_sales(&pool, &ownership.current()).await {
            Ok(sales) => sales,
            Err(error) => {
                tracing::debug!(%error, "could not read which sales are ready");
                continue;
            }
        };
        for sale in sales {
            if stop.is_cancelled() {
                return;
            }
            if let Err(error) = release_all(&pool, &redis, &sale).await {
                tracing::debug!(sale_id = %sale.sale, %error, "could not release units; retrying");
            }
        }
    }
}

async fn owned_sales(pool: &Pool, owned: &[i32]) -> Result<Vec<ReadySale>, DatabaseError> {
    let client = pool.get().await?;
    ready_sales::read(&client, owned).await
}

async fn release_all(pool: &Pool, redis: &Redis, sale: &ReadySale) -> Result<(), TaskError> {
    let no_skus: [Sku; 0] = [];
    let reading = read_stock(redis, &sale.scripts.read_stock, &sale.keys, no_skus.iter(), 0, false).await;
    request::request_if_lost(pool, sale, &reading).await?;
    let Ok(reading) = reading? else { return Ok(()) }; // lost: a rebuild will include all releases
    let mut watermark = reading.released;
    loop {
        let (due, may_have_more) = match pending_releases(pool, sale, watermark).await? {
            PendingReleases::None => return Ok(()),
            PendingReleases::WatermarkAhead { last } => {
                WATERMARK_AHEAD.increment(1);
                tracing::error!(sale_id = %sale.sale, epoch = sale.epoch.0, watermark, last, "Redis has applied releases that Postgres does not have");
                let client = pool.get().await?;
                request::request(&client, &sale.sale, sale.epoch, Reason::WatermarkAhead).await?;
                return Ok(());
            }
            PendingReleases::Some { release, may_have_more } => (release, may_have_more),
        };
        fault::point!("settlement.before_release");
        let outcome = release(redis, &sale.scripts.release, &sale.keys, &due).await;
        request::request_if_lost(pool, sale, &outcome).await?;
        match outcome? {
            Ok(ReleaseOutcome::Applied) => {
                RELEASES.increment(due.units.len() as u64);
                let units: u64 = due.units.iter().map(|(_, units)| units).sum();
                tracing::info!(sale_id = %sale.sale, units, to = due.to, changes = due.settled_changes.len(), cancelled = due.cancelled.len(), "released units to Redis");
                invariant::check(&sale.sale, position::watermark_advances(due.after, due.to));
                watermark = due.to;
            }
            // Another process was faster: what it has applied must not be applied again.
            Ok(ReleaseOutcome::OtherWatermark(at)) if at > watermark => watermark = at,
            Ok(ReleaseOutcome::OtherWatermark(_)) | Err(_) => return Ok(()), // another state: retried at the next poll
        }
        if !may_have_more {
            return Ok(());
        }
    }
}

enum PendingReleases {
    None,
    /// The watermark is higher than the last sequence in Postgres.
    WatermarkAhead {
        last: u64,
    },
    Some {
        release: Release,
        may_have_more: bool,
    },
}

async fn pending_releases(
    pool: &Pool,
    sale: &ReadySale,
    watermark: u64,
) -> Result<PendingReleases, TaskError> {
    let client = pool.get().await?;
    let after = i64::try_from(watermark).unwrap_or(i64::MAX);
    let select = SelectReleases { sale_id: &sale.sale, watermark: after, limit: ROWS_MAX };
    let rows = select.fetch(&client).await?;
    let Some(last) = rows.last() else {
        let select = SelectNextSeq { topic: ORDERS.name, partition: sale.partition };
        let next = select.fetch(&client).await?.next_seq;
        return Ok(if after >= next {
            PendingReleases::WatermarkAhead { last: (next - 1) as u64 }
        } else {
            PendingReleases::None
        });
    };
    let mut release = Release { after: watermark, to: last.seq as u64, ..Release::default() };
    let mut units: BTreeMap<Sku, u64> = BTreeMap::new();
    for row in &rows {
        if row.units > 0 {
            *units.entry(row.sku.clone()).or_default() += row.units as u64;
        }
        if let Some(cancelled) = cancelled_order(row)
            && release.cancelled.last() != Some(&cancelled)
        {
            release.cancelled.push(cancelled); // once for all its lines
        }
        if let Some(change) = row.change_id
            && !release.settled_changes.contains(&change)
        {
            release.settled_changes.push(change);
        }
    }
    release.units = units.into_iter().collect();
    Ok(PendingReleases::Some { release, may_have_more: rows.len() == ROWS_MAX as usize })
}

/// Returns the order whose units are released, with its field in Redis.
fn cancelled_order(row: &SelectReleasesRow) -> Option<(Vec<u8>, OrderId)> {
    let (order, customer) = (row.order_id?, row.customer_id.as_ref()?);
    Some((buyer_field(customer, order.request(), row.limited), order))
}

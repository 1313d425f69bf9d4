//! Waiting until a sale is at rest: nothing in its outbox, nothing unsettled, nothing untold, nothing
//! on its way back, be it units or money. Bounded: a system that never comes to rest is a finding, not a reason to hang.

use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId};
use contract::topics;
use tokio_postgres::Client as Postgres;

use super::log::Reader;
use customers::settings::Services;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where things stood when the wait ended.
#[derive(Debug)]
pub struct Rest {
    /// What still moved stock or orders; empty: at rest.
    pub unrest: Vec<String>,
    /// Events of the partition that are not published.
    pub untold: u64,
    /// The end of the sale's partition at the last look.
    pub log_end: i64,
    /// How long it took.
    pub waited: Duration,
}

const STAND: &str = "SELECT s.partition, s.epoch, s.state = 'open' AND NOT s.ready AND s.epoch > 0, s.ready, \
        coalesce(p.next_offset, 0), coalesce(p.next_seq, 1), coalesce(c.next_seq, 1), \
        coalesce((SELECT max(r.seq) FROM stock_release r WHERE r.sale_id = s.sale_id), 0), \
        (SELECT count(*) FROM payment m WHERE m.sale_id = s.sale_id AND m.status = 'refund_requested') \
    FROM sale s LEFT JOIN log_position p ON p.topic = $2 AND p.partition = s.partition \
                LEFT JOIN publish_cursor c ON c.partition = s.partition \
    WHERE s.sale_id = $1";

/// Waits until the sale is at rest, at most for `limit`.
pub async fn wait(
    postgres: &Postgres,
    redis: &fred::clients::Client,
    services: &Services,
    sale: &SaleId,
    limit: Duration,
) -> anyhow::Result<Rest> {
    let begun = Instant::now();
    let mut reader = Some(Reader::new(services)?);
    loop {
        let row = postgres.query_opt(STAND, &[&sale.as_str(), &topics::ORDERS.name]).await?;
        let Some(row) = row else { anyhow::bail!("there is no sale {sale} in Postgres") };
        let (partition, epoch): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
        let mut unrest = Vec::new();
        if row.try_get(2)? {
            unrest.push("the sale is being rebuilt".to_owned());
        }
        let newest_release: i64 = row.try_get(7)?;
        if row.try_get(3)? {
            let epoch = Epoch(u64::try_from(epoch)?);
            unrest.extend(unrest_in_redis(redis, sale, epoch, newest_release).await?);
        }
        // The end of the log is asked for after the outbox: what left the outbox is below it.
        let (log_end, returned) = ask_end(reader.take(), services, partition).await?;
        reader = Some(returned);
        let stand = postgres.query_one(STAND, &[&sale.as_str(), &topics::ORDERS.name]).await?;
        let (next_offset, next_seq, told): (i64, i64, i64) =
            (stand.try_get(4)?, stand.try_get(5)?, stand.try_get(6)?);
        if next_offset < log_end {
            unrest.push(format!("{} records of the partition are not settled", log_end - next_offset));
        }
        let untold = u64::try_from(next_seq - told).unwrap_or(0);
        let refunds: i64 = stand.try_get(8)?; // those that are missing in the end are invariant 9's to find
        if (unrest.is_empty() && untold == 0 && refunds == 0) || begun.elapsed() >= limit {
            return Ok(Rest { unrest, untold, log_end, waited: begun.elapsed() });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn unrest_in_redis(
    redis: &fred::clients::Client,
    sale: &SaleId,
    epoch: Epoch,
    newest_release: i64,
) -> anyhow::Result<Vec<String>> {
    let Some(state) = super::redis::read(redis, sale, epoch).await? else {
        return Ok(vec![format!("Redis has lost epoch {epoch}")]);
    };
    let mut unrest = Vec::new();
    if state.outbox > 0 {
        unrest.push(format!("{} entries are in the outbox", state.outbox));
    }
    if state.released < newest_release {
        unrest.push(format!("a release is due: {newest_release}, Redis is at {}", state.released));
    }
    if let Some(change) = state.change {
        unrest.push(format!("the change of totals {change} is not settled"));
    }
    Ok(unrest)
}

/// The library blocks while it asks, so it does that on another thread.
async fn ask_end(
    reader: Option<Reader>,
    services: &Services,
    partition: i32,
) -> anyhow::Result<(i64, Reader)> {
    let reader = match reader {
        Some(reader) => reader,
        None => Reader::new(services)?,
    };
    tokio::task::spawn_blocking(move || {
        let end = reader.end(topics::ORDERS.name, partition)?;
        Ok((end, reader))
    })
    .await?
}

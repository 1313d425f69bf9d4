//! The wait until a sale is quiescent: its outbox is empty, every record is settled, every event is
//! published, and no units or money are being returned. The wait is bounded: a system that never becomes
//! quiescent is a finding.

use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId};
use contract::topics;
use tokio_postgres::Client as Postgres;

use super::log::LogReader;
use crate::settings::Services;

/// The polling interval.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The state when the wait ended.
#[derive(Debug)]
pub struct Quiescence {
    /// What still changes stock or orders; empty when the sale is quiescent.
    pub pending: Vec<String>,
    /// The number of events of the partition that are not published.
    pub unpublished: u64,
    /// The end offset of the sale's partition at the last poll.
    pub log_end: i64,
}

const STATE: &str = "SELECT s.partition, s.epoch, s.state = 'open' AND NOT s.ready AND s.epoch > 0, s.ready, \
        coalesce(p.next_offset, 0), coalesce(p.next_seq, 1), coalesce(c.next_seq, 1), \
        coalesce((SELECT max(r.seq) FROM stock_release r WHERE r.sale_id = s.sale_id), 0), \
        (SELECT count(*) FROM payment m WHERE m.sale_id = s.sale_id AND m.status = 'refund_requested') \
    FROM sale s LEFT JOIN log_position p ON p.topic = $2 AND p.partition = s.partition \
                LEFT JOIN publish_cursor c ON c.partition = s.partition \
    WHERE s.sale_id = $1";

/// Waits until the sale is quiescent, at most for `limit`.
pub async fn wait(
    postgres: &Postgres,
    redis: &fred::clients::Client,
    services: &Services,
    sale: &SaleId,
    limit: Duration,
) -> anyhow::Result<Quiescence> {
    let begun = Instant::now();
    let mut reader = Some(LogReader::new(services)?);
    loop {
        let row = postgres.query_opt(STATE, &[&sale.as_str(), &topics::ORDERS.name]).await?;
        let Some(row) = row else { anyhow::bail!("there is no sale {sale} in Postgres") };
        let (partition, epoch): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
        let mut pending = Vec::new();
        if row.try_get(2)? {
            pending.push("the sale is being rebuilt".to_owned());
        }
        let newest_release: i64 = row.try_get(7)?;
        if row.try_get(3)? {
            let epoch = Epoch(u64::try_from(epoch)?);
            pending.extend(pending_in_redis(redis, sale, epoch, newest_release).await?);
        }
        // The end of the log is fetched after the outbox, so that everything that left the outbox is below
        // it.
        let (log_end, returned) = fetch_end(reader.take(), services, partition).await?;
        reader = Some(returned);
        let state = postgres.query_one(STATE, &[&sale.as_str(), &topics::ORDERS.name]).await?;
        let (next_offset, next_seq, published): (i64, i64, i64) =
            (state.try_get(4)?, state.try_get(5)?, state.try_get(6)?);
        if next_offset < log_end {
            pending.push(format!("{} records of the partition are not settled", log_end - next_offset));
        }
        let unpublished = u64::try_from(next_seq - published).unwrap_or(0);
        let refunds: i64 = state.try_get(8)?; // refunds that never complete are reported by invariant 9
        if (pending.is_empty() && unpublished == 0 && refunds == 0) || begun.elapsed() >= limit {
            return Ok(Quiescence { pending, unpublished, log_end });
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

async fn pending_in_redis(
    redis: &fred::clients::Client,
    sale: &SaleId,
    epoch: Epoch,
    newest_release: i64,
) -> anyhow::Result<Vec<String>> {
    let Some(state) = super::redis::read(redis, sale, epoch).await? else {
        return Ok(vec![format!("Redis has lost epoch {epoch}")]);
    };
    let mut pending = Vec::new();
    if state.outbox > 0 {
        pending.push(format!("{} entries are in the outbox", state.outbox));
    }
    if state.released < newest_release {
        pending.push(format!("release {newest_release} is pending, Redis is at {}", state.released));
    }
    if let Some(change) = state.change {
        pending.push(format!("the change of totals {change} is not settled"));
    }
    Ok(pending)
}

/// Fetches the end offset on a blocking thread, because the library blocks.
async fn fetch_end(
    reader: Option<LogReader>,
    services: &Services,
    partition: i32,
) -> anyhow::Result<(i64, LogReader)> {
    let reader = match reader {
        Some(reader) => reader,
        None => LogReader::new(services)?,
    };
    tokio::task::spawn_blocking(move || {
        let end = reader.end_offset(topics::ORDERS.name, partition)?;
        Ok((end, reader))
    })
    .await?
}

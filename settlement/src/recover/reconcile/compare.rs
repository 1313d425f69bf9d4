//! One comparison of Redis with Postgres. The proof that a difference is drift and not in flight:
//!
//! 1. One script call returns a snapshot of a sale in Redis: the units of every SKU, available and returning, the next
//!    sequence N, the release watermark w, and that no change of totals is unsettled. The script has compared the mark.
//! 2. The comparison waits until the outbox has no entry below N. An entry leaves the outbox when the log has
//!    acknowledged it, so every acceptance in the snapshot is in the log.
//! 3. Then the end E of the log is measured, and the comparison waits until settlement has reached it. So every
//!    acceptance in the snapshot is in Postgres, as an order or as a dead letter.
//! 4. One snapshot of Postgres, in which the epoch is still that of the Redis snapshot and ready, shows what Redis must
//!    have had (`queries/select_expected_stock.sql`): what is free, plus what orders and dead letters from N on have
//!    taken, which the Redis snapshot does not contain, minus releases after w, which it does not contain either.
//!
//! Anything that prevents a step makes the comparison inconclusive. Postgres' next sequence is read before the Redis
//! snapshot: if Redis would assign that sequence again, its state has gone back in time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use contract::ids::{Sequence, Sku};
use contract::topics::ORDERS;
use futures_util::future::join_all;
use lua::outbox;
use lua::read_stock::{StockReading, read_stock_and_pending_change};

use crate::context::Context;
use crate::queries::{SelectExpectedStock, SelectExpectedStockRow, SelectReconciled};
use crate::recover::ready_sales::ReadySale;
use crate::recover::rebuild::request::Reason;
use crate::store::database::{DatabaseError, snapshot};

/// The time limit for the outbox and for the log, after which the comparison is inconclusive.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// The interval at which the outbox and the progress are polled.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// The maximum number of sales that are read from Redis at once.
const SALES_MAX: usize = 64;
/// The planner does not know how few orders follow a snapshot, and would otherwise read whole tables.
const USE_INDEXES: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off";

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The drift of each SKU in units: positive if Redis has more than it must have.
    Proven(BTreeMap<Sku, i64>),
    /// The state in Redis is not that of the epoch.
    StateLost(Reason),
    /// Nothing is proven.
    Inconclusive(Obstacle),
}

/// The obstacle that made a comparison inconclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // `Comparison::result` names them
pub enum Obstacle {
    NoResponse,
    PendingChange,
    Outbox,
    Log,
    SaleChanged,
}

impl Comparison {
    /// Returns the label in metrics.
    pub fn result(&self) -> &'static str {
        match self {
            Self::Proven(drifts) if drifts.values().all(|units| *units == 0) => "agree",
            Self::Proven(_) => "drift",
            Self::StateLost(_) => "lost",
            Self::Inconclusive(Obstacle::NoResponse) => "no_answer",
            Self::Inconclusive(Obstacle::PendingChange) => "change_unsettled",
            Self::Inconclusive(Obstacle::Outbox) => "outbox_waits",
            Self::Inconclusive(Obstacle::Log) => "log_unsettled",
            Self::Inconclusive(Obstacle::SaleChanged) => "moved_on",
        }
    }
}

/// A sale to compare.
struct Candidate {
    sale: ReadySale,
    skus: Vec<Sku>,
    /// The sequence behind the highest settled one.
    settled: Sequence,
}

/// A sale with its snapshot of Redis, in the middle of its comparison.
struct SaleSnapshot {
    candidate: Candidate,
    stock: StockReading,
    log_end: i64,
}

/// Compares every ready sale of the owned partitions.
pub async fn compare(context: &Context) -> Result<Vec<(ReadySale, Comparison)>, DatabaseError> {
    let mut comparisons = Vec::new();
    let mut snapshots = Vec::new();
    let mut candidates = candidates(context).await?.into_iter().peekable();
    while candidates.peek().is_some() {
        let reads = candidates.by_ref().take(SALES_MAX).map(|candidate| read_redis(context, candidate));
        for result in join_all(reads).await {
            match result {
                Ok(snapshot) => snapshots.push(snapshot),
                Err(ended) => comparisons.push(*ended),
            }
        }
    }
    let snapshots = wait_for_outboxes(context, snapshots, &mut comparisons).await;
    let snapshots = wait_for_settlement(context, snapshots, &mut comparisons).await;
    if !snapshots.is_empty() {
        comparisons.extend(compare_with_postgres(context, snapshots).await?);
    }
    Ok(comparisons)
}

async fn candidates(context: &Context) -> Result<Vec<Candidate>, DatabaseError> {
    let owned = context.ownership.current();
    if owned.is_empty() {
        return Ok(vec![]);
    }
    let client = context.pool.get().await?;
    let rows = SelectReconciled { partitions: &owned }.fetch(&client).await?;
    let candidates = rows.into_iter().filter_map(|row| {
        let sale = ReadySale::with_stored_scripts(row.sale_id, row.partition, row.epoch, row.scripts)?;
        Some(Candidate { sale, skus: row.skus, settled: row.next_sequence })
    });
    Ok(candidates.collect())
}

/// Step 1: reads the snapshot of Redis. The error is the result of a comparison that ends here.
async fn read_redis(
    context: &Context,
    candidate: Candidate,
) -> Result<SaleSnapshot, Box<(ReadySale, Comparison)>> {
    let sale = &candidate.sale;
    let skus = candidate.skus.iter();
    let read =
        read_stock_and_pending_change(&context.redis, &sale.scripts.read_stock, &sale.keys, skus).await;
    let comparison = match read {
        Ok(Ok((stock, _))) if stock.next < candidate.settled => Comparison::StateLost(Reason::SequenceBehind),
        Ok(Ok((stock, Some(false)))) => return Ok(SaleSnapshot { candidate, stock, log_end: 0 }),
        Ok(Ok(_)) => Comparison::Inconclusive(Obstacle::PendingChange),
        failed => Reason::proven_by(&failed)
            .map_or(Comparison::Inconclusive(Obstacle::NoResponse), Comparison::StateLost),
    };
    Err(Box::new((candidate.sale, comparison)))
}

/// Step 2: waits until the log has acknowledged every acceptance of the snapshots.
async fn wait_for_outboxes(
    context: &Context,
    mut waiting: Vec<SaleSnapshot>,
    comparisons: &mut Vec<(ReadySale, Comparison)>,
) -> Vec<SaleSnapshot> {
    let begun = Instant::now();
    let mut done = Vec::with_capacity(waiting.len());
    loop {
        let mut still_waiting = Vec::new();
        for snapshot in waiting {
            let sale = &snapshot.candidate.sale;
            let next = snapshot.stock.next;
            let obstacle = match outbox::has_entry_below(&context.redis, &sale.sale, sale.epoch, next).await {
                Ok(false) => {
                    done.push(snapshot);
                    continue;
                }
                Ok(true) if begun.elapsed() < WAIT_MAX => {
                    still_waiting.push(snapshot);
                    continue;
                }
                Ok(true) => Obstacle::Outbox,
                Err(_) => Obstacle::NoResponse,
            };
            comparisons.push((snapshot.candidate.sale, Comparison::Inconclusive(obstacle)));
        }
        if still_waiting.is_empty() {
            return done;
        }
        waiting = still_waiting;
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Step 3: waits until this process has settled the log up to its end. Step 4 verifies it in Postgres.
async fn wait_for_settlement(
    context: &Context,
    waiting: Vec<SaleSnapshot>,
    comparisons: &mut Vec<(ReadySale, Comparison)>,
) -> Vec<SaleSnapshot> {
    let acknowledged_at = Instant::now();
    let mut ends: BTreeMap<i32, Option<i64>> = BTreeMap::new();
    for partition in waiting.iter().map(|snapshot| snapshot.candidate.sale.partition) {
        if let Entry::Vacant(end) = ends.entry(partition) {
            end.insert(context.log_ends.end_after(partition, acknowledged_at, WAIT_MAX).await);
        }
    }
    let is_settled =
        |partition: i32, end: i64| context.progress.next_offset(partition).is_some_and(|next| next >= end);
    let begun = Instant::now();
    let all_settled =
        || ends.iter().all(|(partition, end)| end.is_none_or(|end| is_settled(*partition, end)));
    while begun.elapsed() < WAIT_MAX && !all_settled() {
        tokio::time::sleep(POLL_EVERY).await;
    }
    let mut done = Vec::with_capacity(waiting.len());
    for mut snapshot in waiting {
        let partition = snapshot.candidate.sale.partition;
        match ends.get(&partition).copied().flatten() {
            Some(end) if is_settled(partition, end) => {
                snapshot.log_end = end;
                done.push(snapshot);
            }
            _ => comparisons.push((snapshot.candidate.sale, Comparison::Inconclusive(Obstacle::Log))),
        }
    }
    done
}

/// Step 4: compares the snapshots of Redis with one snapshot of Postgres.
async fn compare_with_postgres(
    context: &Context,
    snapshots: Vec<SaleSnapshot>,
) -> Result<Vec<(ReadySale, Comparison)>, DatabaseError> {
    let mut client = context.pool.get().await?;
    let transaction = snapshot(&mut client).await?;
    transaction.batch_execute(USE_INDEXES).await?;
    let mut comparisons = Vec::with_capacity(snapshots.len());
    for SaleSnapshot { candidate, stock, log_end } in snapshots {
        let select = SelectExpectedStock {
            sale_id: &candidate.sale.sale,
            epoch: candidate.sale.epoch,
            next_sequence: stock.next,
            watermark: stock.released as i64,
            log_offset: log_end,
            topic: ORDERS.name,
        };
        let expected = select.fetch(&transaction).await?;
        let comparison = compare_units(&candidate.skus, &stock, &expected);
        comparisons.push((candidate.sale, comparison));
    }
    Ok(comparisons)
}

/// Compares what Redis had with what it must have had.
fn compare_units(skus: &[Sku], stock: &StockReading, expected: &[SelectExpectedStockRow]) -> Comparison {
    if expected.iter().any(|item| item.is_unclear) {
        return Comparison::Inconclusive(Obstacle::PendingChange);
    }
    let mut drifts = BTreeMap::new();
    for (sku, stock) in skus.iter().zip(&stock.stock) {
        let expected_units = expected.iter().find(|item| item.sku == *sku);
        // The SKU is unlimited, or no longer offered, or the epoch has ended.
        let (Some(expected), Some(available)) = (expected_units, stock.available) else {
            return Comparison::Inconclusive(Obstacle::SaleChanged);
        };
        // Dead letters may have taken more than there is: then Redis must have none.
        drifts.insert(sku.clone(), (available + stock.returning) as i64 - expected.expected.max(0));
    }
    Comparison::Proven(drifts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::timestamp::Timestamp;
    use lua::read_stock::SkuStock;

    fn compare_one(available: Option<u64>, returning: u64, expected: &[(&str, i64, bool)]) -> Comparison {
        let reading = StockReading {
            at: Timestamp(0),
            next: Sequence(1),
            released: 0,
            arrival_bytes: 0,
            stock: vec![SkuStock { available, returning }],
            arrivals: vec![],
        };
        let expected = expected.iter().map(|(sku, expected, is_unclear)| SelectExpectedStockRow {
            sku: Sku::parse(sku).unwrap(),
            expected: *expected,
            is_unclear: *is_unclear,
        });
        compare_units(&[Sku::parse("A").unwrap()], &reading, &expected.collect::<Vec<_>>())
    }

    #[test]
    fn drift_is_what_redis_has_beyond_what_it_must_have() {
        let proven = |units| Comparison::Proven([(Sku::parse("A").unwrap(), units)].into());
        let inconclusive = Comparison::Inconclusive;
        assert_eq!(compare_one(Some(5), 2, &[("A", 7, false)]), proven(0));
        assert_eq!(compare_one(Some(5), 2, &[("A", 4, false)]), proven(3));
        assert_eq!(compare_one(Some(0), 0, &[("A", 4, false)]), proven(-4));
        assert_eq!(
            compare_one(Some(0), 0, &[("A", -4, false)]),
            proven(0),
            "Redis cannot have less than none"
        );
        assert_eq!(compare_one(Some(5), 0, &[("A", 4, true)]), inconclusive(Obstacle::PendingChange));
        assert_eq!(compare_one(Some(5), 0, &[]), inconclusive(Obstacle::SaleChanged));
        assert_eq!(compare_one(None, 0, &[("A", 4, false)]), inconclusive(Obstacle::SaleChanged));
    }
}

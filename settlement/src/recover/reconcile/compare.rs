//! One comparison. The proof that what is found is drift and not something on its way:
//!
//! 1. One look tells at one moment the units of every SKU, available and returning, the next sequence N, the
//!    release watermark w, and that no change of totals is unsettled. The script has compared the mark.
//! 2. The outbox is waited for until it holds no entry below N. An entry leaves it when the log has
//!    acknowledged it, so every acceptance that the look has seen is in the log.
//! 3. Then the log's end E is asked for, and settlement waited for until it has come so far. So every
//!    acceptance that the look has seen is in Postgres, as an order or as a dead letter.
//! 4. One snapshot of Postgres, in which the epoch is still that of the look and ready, tells what Redis must
//!    have had (`queries/select_expected_stock.sql`): what is free, plus what orders and dead letters from N on
//!    have taken, which the look has not seen, minus releases behind w, which it has not seen either.
//!
//! Whatever stays in the way ends the comparison without a verdict. Postgres' next sequence is read before the
//! look: where Redis would give it out again, it has gone back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::ids::{Sequence, Sku};
use contract::topics::ORDERS;
use futures_util::future::join_all;
use lua::outbox;
use lua::read_stock::{StockReading, read_stock_and_pending_change};

use crate::context::Context;
use crate::recover::ready_sales::ReadySale;
use crate::recover::rebuild::request::Reason;
use crate::store::database::{DatabaseError, snapshot};

/// How long the outbox and the log may take before there is no verdict this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at either.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Sales that Redis is asked about at once.
const AT_ONCE: usize = 64;
/// The planner does not know how few orders lie behind a look, and would rather read whole tables.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off";

/// What a comparison has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Units of drift per SKU: positive where Redis has more than it must have.
    Proven(BTreeMap<Sku, i64>),
    /// This state of Redis is not the epoch's.
    Lost(Reason),
    /// Nothing is proven.
    Open(Why),
}

/// What stood in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // named in `Verdict::result`'s table
pub enum Why {
    NoAnswer,
    Change,
    Outbox,
    Log,
    Moved,
}

impl Verdict {
    /// The label in metrics.
    pub fn result(&self) -> &'static str {
        match self {
            Self::Proven(drifts) if drifts.values().all(|units| *units == 0) => "agree",
            Self::Proven(_) => "drift",
            Self::Lost(_) => "lost",
            Self::Open(Why::NoAnswer) => "no_answer",
            Self::Open(Why::Change) => "change_unsettled",
            Self::Open(Why::Outbox) => "outbox_waits",
            Self::Open(Why::Log) => "log_unsettled",
            Self::Open(Why::Moved) => "moved_on",
        }
    }
}

/// A sale on its way through a comparison.
struct Candidate {
    sale: ReadySale,
    skus: Vec<Sku>,
    /// Settled sequences lie below it.
    settled: Sequence,
}

/// A sale that may still come to a verdict.
struct Seen {
    candidate: Candidate,
    look: StockReading,
    log_end: i64,
}

/// Compares every ready sale of the owned partitions.
pub async fn compare(context: &Context) -> Result<Vec<(ReadySale, Verdict)>, DatabaseError> {
    let mut verdicts = Vec::new();
    let mut seen = Vec::new();
    let mut candidates = candidates(context).await?.into_iter().peekable();
    while candidates.peek().is_some() {
        let some = candidates.by_ref().take(AT_ONCE).map(|candidate| look(context, candidate));
        for looked in join_all(some).await {
            match looked {
                Ok(looked) => seen.push(looked),
                Err(ended) => verdicts.push(*ended),
            }
        }
    }
    let seen = until_acknowledged(context, seen, &mut verdicts).await;
    let seen = until_settled(context, seen, &mut verdicts).await;
    if !seen.is_empty() {
        verdicts.extend(expected(context, seen).await?);
    }
    Ok(verdicts)
}

async fn candidates(context: &Context) -> Result<Vec<Candidate>, DatabaseError> {
    let owned = context.ownership.now();
    if owned.is_empty() {
        return Ok(vec![]);
    }
    let client = context.pool.get().await?;
    let select = client.prepare_cached(include_str!("../../../queries/select_reconciled.sql")).await?;
    let rows = client.query(&select, &[&&*owned]).await?;
    let candidates = rows.iter().filter_map(|row| {
        let skus = row.get::<_, Vec<&str>>(5).into_iter().map(Sku::parse).collect::<Result<_, _>>().ok()?;
        let settled = Sequence(row.get::<_, i64>(4) as u64);
        Some(Candidate { sale: ReadySale::from_row(row)?, skus, settled })
    });
    Ok(candidates.collect())
}

/// Step 1. The error ends the comparison of this sale.
async fn look(context: &Context, candidate: Candidate) -> Result<Seen, Box<(ReadySale, Verdict)>> {
    let sale = &candidate.sale;
    let looked = read_stock_and_pending_change(
        &context.redis,
        &sale.scripts.read_stock,
        &sale.keys,
        candidate.skus.iter(),
    )
    .await;
    let verdict = match looked {
        Ok(Ok((look, _))) if look.next < candidate.settled => Verdict::Lost(Reason::SequenceBehind),
        Ok(Ok((look, Some(false)))) => return Ok(Seen { candidate, look, log_end: 0 }),
        Ok(Ok(_)) => Verdict::Open(Why::Change),
        failed => Reason::proven_by(&failed).map_or(Verdict::Open(Why::NoAnswer), Verdict::Lost),
    };
    Err(Box::new((candidate.sale, verdict)))
}

/// Step 2.
async fn until_acknowledged(
    context: &Context,
    mut waiting: Vec<Seen>,
    verdicts: &mut Vec<(ReadySale, Verdict)>,
) -> Vec<Seen> {
    let begun = Instant::now();
    let mut done = Vec::with_capacity(waiting.len());
    loop {
        let mut still = Vec::new();
        for seen in waiting {
            let sale = &seen.candidate.sale;
            match outbox::has_entry_below(&context.redis, &sale.sale, sale.epoch, seen.look.next).await {
                Ok(false) => done.push(seen),
                Ok(true) if begun.elapsed() < PATIENCE => still.push(seen),
                Ok(true) => verdicts.push((seen.candidate.sale, Verdict::Open(Why::Outbox))),
                Err(_) => verdicts.push((seen.candidate.sale, Verdict::Open(Why::NoAnswer))),
            }
        }
        if still.is_empty() {
            return done;
        }
        waiting = still;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Step 3, as far as this process knows; the snapshot has the last word.
async fn until_settled(
    context: &Context,
    waiting: Vec<Seen>,
    verdicts: &mut Vec<(ReadySale, Verdict)>,
) -> Vec<Seen> {
    let acknowledged = Instant::now();
    let mut ends: BTreeMap<i32, Option<i64>> = BTreeMap::new();
    for partition in waiting.iter().map(|seen| seen.candidate.sale.partition) {
        if let std::collections::btree_map::Entry::Vacant(end) = ends.entry(partition) {
            end.insert(context.log_ends.end_after(partition, acknowledged, PATIENCE).await);
        }
    }
    let settled =
        |partition: i32, end: i64| context.progress.next_offset(partition).is_some_and(|next| next >= end);
    let begun = Instant::now();
    let all = || ends.iter().all(|(partition, end)| end.is_none_or(|end| settled(*partition, end)));
    while begun.elapsed() < PATIENCE && !all() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let mut done = Vec::with_capacity(waiting.len());
    for mut seen in waiting {
        let partition = seen.candidate.sale.partition;
        match ends.get(&partition).copied().flatten() {
            Some(end) if settled(partition, end) => {
                seen.log_end = end;
                done.push(seen);
            }
            _ => verdicts.push((seen.candidate.sale, Verdict::Open(Why::Log))),
        }
    }
    done
}

/// Step 4.
async fn expected(context: &Context, all: Vec<Seen>) -> Result<Vec<(ReadySale, Verdict)>, DatabaseError> {
    let mut client = context.pool.get().await?;
    let snapshot = snapshot(&mut client).await?;
    snapshot.batch_execute(BY_INDEX).await?;
    let select = snapshot.prepare_cached(include_str!("../../../queries/select_expected_stock.sql")).await?;
    let mut verdicts = Vec::with_capacity(all.len());
    for Seen { candidate, look, log_end } in all {
        let (next, released) = (look.next.0 as i64, look.released as i64);
        let epoch = candidate.sale.epoch.0 as i64;
        let sale = candidate.sale.sale.as_str();
        let rows =
            snapshot.query(&select, &[&sale, &epoch, &next, &released, &log_end, &ORDERS.name]).await?;
        let expected = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2)));
        let verdict = judged(&candidate.skus, &look, expected.collect());
        verdicts.push((candidate.sale, verdict));
    }
    Ok(verdicts)
}

/// Compares what Redis had with what it must have had: SKU, units, whether they are unclear.
fn judged(skus: &[Sku], look: &StockReading, expected: Vec<(&str, i64, bool)>) -> Verdict {
    if expected.iter().any(|(_, _, unclear)| *unclear) {
        return Verdict::Open(Why::Change);
    }
    let mut drifts = BTreeMap::new();
    for (sku, stock) in skus.iter().zip(&look.stock) {
        let must = expected.iter().find(|(name, ..)| *name == sku.as_str());
        // Not counted, or not offered any more, or the epoch has ended.
        let (Some((_, must, _)), Some(available)) = (must, stock.available) else {
            return Verdict::Open(Why::Moved);
        };
        // Dead letters may have taken more than there is: then there must be nothing.
        drifts.insert(sku.clone(), (available + stock.returning) as i64 - (*must).max(0));
    }
    Verdict::Proven(drifts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::timestamp::Timestamp;
    use lua::read_stock::SkuStock;

    fn of(available: Option<u64>, returning: u64, expected: &[(&str, i64, bool)]) -> Verdict {
        let look = StockReading {
            at: Timestamp(0),
            next: Sequence(1),
            released: 0,
            arrival_bytes: 0,
            stock: vec![SkuStock { available, returning }],
            arrivals: vec![],
        };
        judged(&[Sku::parse("A").unwrap()], &look, expected.to_vec())
    }

    #[test]
    fn drift_is_what_redis_has_more_than_it_must_have() {
        let proven = |units| Verdict::Proven([(Sku::parse("A").unwrap(), units)].into());
        assert_eq!(of(Some(5), 2, &[("A", 7, false)]), proven(0));
        assert_eq!(of(Some(5), 2, &[("A", 4, false)]), proven(3));
        assert_eq!(of(Some(0), 0, &[("A", 4, false)]), proven(-4));
        assert_eq!(of(Some(0), 0, &[("A", -4, false)]), proven(0), "less than nothing cannot be had");
        assert_eq!(of(Some(5), 0, &[("A", 4, true)]), Verdict::Open(Why::Change));
        assert_eq!(of(Some(5), 0, &[]), Verdict::Open(Why::Moved));
        assert_eq!(of(None, 0, &[("A", 4, false)]), Verdict::Open(Why::Moved));
    }
}

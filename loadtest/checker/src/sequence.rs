//! Invariant 7: the order of admission can be proved.

use contract::record::Record;
use invariants::sequence;
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::Evidence;
use super::finding::{Finding, FindingBuilder};

/// Invariant 7: sequences have no duplicate and no unexplained gap, and no request overtook another.
pub fn admission_order(evidence: &Evidence) -> Finding {
    let mut finding = FindingBuilder::new(
        7,
        "sequences 1, 2, 3, … without duplicate or gap; no order overtakes a sold-out refusal",
    );
    let highest = gaps_and_duplicates(&mut finding, evidence);
    same_in_the_log(&mut finding, evidence);
    no_overtaking(&mut finding, evidence);
    if let Some(redis) = &evidence.redis
        && evidence.pending.is_empty()
    {
        finding.expect(redis.next == highest + 1, || {
            format!("the next sequence in Redis is {}, the highest settled is {highest}", redis.next)
        });
    }
    finding.finish()
}

/// Returns the highest sequence that is accounted for.
fn gaps_and_duplicates(finding: &mut FindingBuilder, evidence: &Evidence) -> u64 {
    let acknowledged: FxHashSet<u64> =
        evidence.journal.iter().filter(|e| e.is_accepted()).filter_map(|entry| entry.sequence).collect();
    let mut sequences: Vec<(u64, u64)> =
        evidence.stored.orders.iter().map(|order| (order.sequence.0, order.epoch.0)).collect();
    let stored: FxHashSet<u64> = sequences.iter().map(|(sequence, _)| *sequence).collect();
    // A dead letter keeps the sequences of those of its orders that are not stored. The log, and so the dead
    // letters, may contain its record more than once.
    let letters: FxHashSet<i64> = evidence.stored.dead_letters.iter().map(|letter| letter.offset).collect();
    let mut dead_lettered: FxHashSet<(u64, u64)> = FxHashSet::default();
    for record in evidence.log.iter().filter(|record| letters.contains(&record.offset)) {
        if let Some((first, count)) = record.headers.sequences {
            let epoch = record.headers.epoch.unwrap_or_default().0;
            let all = first.0..first.0.saturating_add(count.min(1_000_000));
            dead_lettered.extend(all.filter(|sequence| !stored.contains(sequence)).map(|s| (s, epoch)));
        }
    }
    sequences.extend(dead_lettered);
    sequences.sort_unstable();
    let mut expected = 1;
    let mut lost = 0;
    for (sequence, epoch) in &sequences {
        if !finding.require("orders", sequence::no_duplicate(expected, *sequence)) {
            continue;
        }
        let gap = sequence::no_gap(expected, *sequence);
        if gap.is_err() {
            // A gap is explained only when Redis lost its state, after which a rebuild begins a new epoch.
            let explained = *epoch < evidence.stored.sale.settled_epoch.0
                && !(expected..*sequence).any(|missing| acknowledged.contains(&missing));
            if explained {
                lost += sequence - expected;
            } else {
                finding.require("orders", gap);
            }
        }
        expected = sequence + 1;
    }
    finding.count("sequences", sequences.len());
    if lost > 0 {
        finding.add_note(format!(
            "{lost} sequences were lost with an epoch of Redis; none of them was acknowledged"
        ));
    }
    expected - 1
}

/// The sequences in the log equal those in Postgres.
fn same_in_the_log(finding: &mut FindingBuilder, evidence: &Evidence) {
    let rows = evidence.orders_by_id();
    let mut numbered = FxHashMap::default();
    for record in &evidence.log {
        let Ok(Record::Accepted(batch)) = &record.record else { continue };
        for (sequence, order) in (batch.first_sequence.0..).zip(&batch.orders) {
            if let Some(row) = rows.get(&order.id).filter(|row| row.epoch == batch.epoch) {
                finding.expect(row.sequence.0 == sequence, || {
                    format!("{} is {sequence} in the log and {} in Postgres", order.id, row.sequence)
                });
                numbered.insert(order.id, sequence);
            }
        }
    }
    finding.count("in the log", numbered.len());
}

/// A sold-out refusal contains the remaining units. Requests that were first sent after its response arrived
/// cannot have got more than that, unless units came back.
fn no_overtaking(finding: &mut FindingBuilder, evidence: &Evidence) {
    let mut accepted: FxHashMap<&str, Vec<(u64, u64)>> = FxHashMap::default();
    for entries in evidence.requests().values() {
        if let (Some(first), Some(taken)) = (entries.first(), entries.iter().find(|e| e.is_accepted())) {
            for (sku, quantity) in &taken.lines {
                accepted.entry(sku).or_default().push((first.sent_us, *quantity));
            }
        }
    }
    // From the last to the first: the units accepted from here on.
    for orders in accepted.values_mut() {
        orders.sort_unstable();
        let mut sum = 0;
        for (_, quantity) in orders.iter_mut().rev() {
            sum += *quantity;
            *quantity = sum;
        }
    }
    let mut refusals = 0;
    let mut not_judged: FxHashSet<&str> = FxHashSet::default();
    for entry in evidence.journal.iter().filter(|entry| entry.code.as_deref() == Some("sold_out")) {
        let (Some(sku), Some(remaining)) = (entry.sku.as_deref(), entry.remaining) else {
            finding.add_violation(format!(
                "{} got a sold-out refusal without sku and remaining",
                entry.customer
            ));
            continue;
        };
        if evidence.came_back(sku) {
            not_judged.insert(sku);
            continue;
        }
        refusals += 1;
        let orders = accepted.get(sku).map(Vec::as_slice).unwrap_or_default();
        let later = orders.partition_point(|(sent, _)| *sent <= entry.answered_us);
        let taken = orders.get(later).map_or(0, |(_, sum)| *sum);
        finding.expect(taken <= remaining, || {
            format!(
                "{} was refused with {remaining} of {sku} remaining; later requests got {taken}",
                entry.customer
            )
        });
    }
    finding.count("sold-out refusals", refusals);
    if !not_judged.is_empty() {
        finding.add_note(format!("refusals of {not_judged:?} are not checked: units came back"));
    }
}

//! Invariant 7: the order of admission can be proved.

use contract::record::Record;
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::Evidence;
use super::finding::{Finding, Probe};

/// Invariant 7. Sequences have no double and no unexplained gap; nobody was passed over.
pub fn admission_order(evidence: &Evidence) -> Finding {
    let mut probe =
        Probe::new(7, "sequences 1, 2, 3, … without double or gap; nobody overtakes a sold-out refusal");
    let highest = gaps_and_doubles(&mut probe, evidence);
    same_in_the_log(&mut probe, evidence);
    nobody_overtaken(&mut probe, evidence);
    if let Some(redis) = &evidence.redis
        && evidence.unrest.is_empty()
    {
        probe.expect(redis.next == highest + 1, || {
            format!("the next sequence in Redis is {}, the highest settled is {highest}", redis.next)
        });
    }
    probe.finish()
}

/// Returns the highest sequence that is accounted for.
fn gaps_and_doubles(probe: &mut Probe, evidence: &Evidence) -> u64 {
    let told: FxHashSet<u64> =
        evidence.journal.iter().filter(|e| e.is_accepted()).filter_map(|entry| entry.sequence).collect();
    let mut sequences: Vec<(u64, u64)> =
        evidence.orders.iter().map(|order| (order.sequence.0, order.epoch.0)).collect();
    let stored: FxHashSet<u64> = sequences.iter().map(|(sequence, _)| *sequence).collect();
    // A dead letter keeps the sequences of those of its orders that are not stored. Its record may lie in
    // the log, and so among the letters, more than once.
    let letters: FxHashSet<i64> = evidence.dead_letters.iter().map(|letter| letter.offset).collect();
    let mut buried: FxHashSet<(u64, u64)> = FxHashSet::default();
    for record in evidence.log.iter().filter(|record| letters.contains(&record.offset)) {
        if let Some((first, count)) = record.headers.sequences {
            let epoch = record.headers.epoch.unwrap_or_default().0;
            let all = first.0..first.0.saturating_add(count.min(1_000_000));
            buried.extend(all.filter(|sequence| !stored.contains(sequence)).map(|s| (s, epoch)));
        }
    }
    sequences.extend(buried);
    sequences.sort_unstable();
    let mut expected = 1;
    let mut lost = 0;
    for (sequence, epoch) in &sequences {
        if *sequence < expected {
            probe.violate(format!("sequence {sequence} stands twice"));
            continue;
        }
        if *sequence > expected {
            // Explained only where Redis lost what it had, after which a rebuild begins a new epoch.
            let explained = *epoch < evidence.sale.settled_epoch.0
                && !(expected..*sequence).any(|missing| told.contains(&missing));
            if explained {
                lost += sequence - expected;
            } else {
                probe.violate(format!("sequences {expected} to {} are missing", sequence - 1));
            }
        }
        expected = sequence + 1;
    }
    probe.count("sequences", sequences.len());
    if lost > 0 {
        probe.note(format!("{lost} sequences were lost with an epoch of Redis; nobody was told of them"));
    }
    expected - 1
}

/// What the log numbered is what Postgres stored.
fn same_in_the_log(probe: &mut Probe, evidence: &Evidence) {
    let rows = evidence.orders_by_id();
    let mut numbered = FxHashMap::default();
    for record in &evidence.log {
        let Ok(Record::Accepted(batch)) = &record.record else { continue };
        for (sequence, order) in (batch.first_sequence.0..).zip(&batch.orders) {
            if let Some(row) = rows.get(&order.id).filter(|row| row.epoch == batch.epoch) {
                probe.expect(row.sequence.0 == sequence, || {
                    format!("{} is {sequence} in the log and {} in Postgres", order.id, row.sequence)
                });
                numbered.insert(order.id, sequence);
            }
        }
    }
    probe.count("in the log", numbered.len());
}

/// A refusal as sold out tells what remained. Requests that were first sent after that answer had come
/// cannot have got more than that, unless units came back.
fn nobody_overtaken(probe: &mut Probe, evidence: &Evidence) {
    let mut accepted: FxHashMap<&str, Vec<(u64, u64)>> = FxHashMap::default();
    for entries in evidence.requests().values() {
        if let (Some(first), Some(taken)) = (entries.first(), entries.iter().find(|e| e.is_accepted())) {
            for (sku, quantity) in &taken.lines {
                accepted.entry(sku).or_default().push((first.sent_us, *quantity));
            }
        }
    }
    // From the last to the first: how much was accepted from here on.
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
            probe.violate(format!("{} was refused as sold out without sku and remaining", entry.customer));
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
        probe.expect(taken <= remaining, || {
            format!(
                "{} was told that {remaining} of {sku} remain; later requests got {taken}",
                entry.customer
            )
        });
    }
    probe.count("sold-out refusals", refusals);
    if !not_judged.is_empty() {
        probe.note(format!("refusals of {not_judged:?} are not judged: units came back"));
    }
}

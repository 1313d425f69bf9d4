//! Invariant 10: the position and the effects of the records before it are consistent.

use contract::ids::Epoch;
use contract::record::{AcceptedBatch, Record};
use invariants::position;
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{Evidence, OrderRow};
use super::finding::{Finding, FindingBuilder};
use contract::ids::OrderId;

/// Invariant 10: each record below the position was applied once, is void, or is a dead letter; and nothing
/// else was applied.
pub fn applied_once(evidence: &Evidence) -> Finding {
    let mut finding =
        FindingBuilder::new(10, "position and effects agree: no record skipped, none applied twice");
    bounds(&mut finding, evidence);
    let rows = evidence.orders_by_id();
    let letters: FxHashMap<i64, bool> =
        evidence.stored.dead_letters.iter().map(|letter| (letter.offset, letter.replayed)).collect();
    let mut cancelled = FxHashSet::default();
    let (mut settled, mut void, mut barrier) = (FxHashSet::default(), FxHashSet::default(), Epoch(0));
    for record in evidence.log.iter().filter(|record| record.offset < evidence.stored.position.next_offset) {
        let at = record.offset;
        if let Some(replayed) = letters.get(&at) {
            // Some orders of a replayed dead letter may have been applied.
            if let (true, Ok(Record::Accepted(batch))) = (replayed, &record.record) {
                settled.extend(batch.orders.iter().map(|o| o.id).filter(|id| rows.contains_key(id)));
            }
            continue;
        }
        match &record.record {
            Err(why) => {
                finding.add_violation(format!("offset {at} cannot be decoded ({why}) and is no dead letter"))
            }
            Ok(Record::Barrier(found)) => barrier = barrier.max(found.epoch),
            Ok(Record::Accepted(batch)) if batch.epoch < barrier => {
                void.extend(batch.orders.iter().map(|order| order.id));
            }
            Ok(Record::Accepted(batch)) => applied(&mut finding, at, batch, &rows, &mut settled),
            Ok(Record::Totals(change)) if change.epoch >= barrier => {
                finding.expect(evidence.stored.changes.contains(&change.change_id), || {
                    format!("offset {at}: the change of totals {} was not applied", change.change_id)
                });
            }
            Ok(Record::Command(command)) => {
                cancelled.insert(command.order_id);
            }
            Ok(Record::Totals(_) | Record::Tick(_) | Record::Decision(_)) => {}
        }
    }
    cancelled_by_command(&mut finding, evidence, &cancelled);
    finding.expect(evidence.stored.sale.settled_epoch == barrier, || {
        format!(
            "settled_epoch is {}, the last barrier in the log has {barrier}",
            evidence.stored.sale.settled_epoch
        )
    });
    for row in evidence.stored.orders.iter().filter(|row| !settled.contains(&row.id)) {
        let why = if void.contains(&row.id) { "is void in the log" } else { "is not in the log" };
        finding.add_violation(format!("{} of {} is in Postgres and {why}", row.id, row.customer));
    }
    finding.count("records", evidence.log.len());
    finding.count("orders applied", settled.len());
    finding.count("void orders", void.iter().filter(|id| !settled.contains(*id)).count());
    finding.count("dead letters", letters.len());
    finding.finish()
}

/// Every order that its customer cancelled has a command in the log.
fn cancelled_by_command(finding: &mut FindingBuilder, evidence: &Evidence, cancelled: &FxHashSet<OrderId>) {
    let by_customer =
        evidence.stored.orders.iter().filter(|row| row.cancel_reason.as_deref() == Some("customer"));
    for row in by_customer.filter(|row| !cancelled.contains(&row.id)) {
        finding.add_violation(format!(
            "{} is cancelled by its customer, and the log has no command for it",
            row.id
        ));
    }
}

/// A record that was applied has all its orders in Postgres, with the same content.
fn applied(
    finding: &mut FindingBuilder,
    offset: i64,
    batch: &AcceptedBatch,
    rows: &FxHashMap<OrderId, &OrderRow>,
    settled: &mut FxHashSet<OrderId>,
) {
    for order in &batch.orders {
        settled.insert(order.id);
        match rows.get(&order.id) {
            None => {
                finding.add_violation(format!("offset {offset}: {} was acknowledged and skipped", order.id))
            }
            Some(row) => {
                let stored: Vec<_> = row.lines.iter().map(|(sku, n)| (sku.as_str(), *n)).collect();
                let logged: Vec<_> =
                    order.lines.iter().map(|l| (l.sku.as_str(), u64::from(l.quantity))).collect();
                let same = stored == logged
                    && row.customer == order.customer
                    && row.key == order.key
                    && row.amounts == order.amounts();
                finding.expect(same, || {
                    format!("offset {offset}: {} differs between Postgres and the log", order.id)
                });
            }
        }
    }
}

/// The position is at the end of the log, and the event sequences below it have no gap and no duplicate.
fn bounds(finding: &mut FindingBuilder, evidence: &Evidence) {
    let position = &evidence.stored.position;
    let (rest, end) = (*evidence.log_end.start(), *evidence.log_end.end());
    finding.require("settled", position::within_log(position.next_offset, rest, end));
    finding.require("events", position::events_complete(&position.events));
    finding.count("event sequences", position.events.max.max(0) as usize);
}

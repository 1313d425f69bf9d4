//! Invariant 10: the position and the effects before it are one.

use contract::ids::Epoch;
use contract::record::{AcceptedBatch, Record};
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{Evidence, OrderRow};
use super::finding::{Finding, Probe};
use contract::ids::OrderId;

/// Invariant 10: each record below the position was applied once, or is void, or is a dead letter; and nothing
/// else was.
pub fn applied_once(evidence: &Evidence) -> Finding {
    let mut probe = Probe::new(10, "position and effects are one: no record skipped, none applied twice");
    bounds(&mut probe, evidence);
    let rows = evidence.orders_by_id();
    let letters: FxHashMap<i64, bool> =
        evidence.dead_letters.iter().map(|letter| (letter.offset, letter.replayed)).collect();
    let mut cancelled = FxHashSet::default();
    let (mut settled, mut void, mut barrier) = (FxHashSet::default(), FxHashSet::default(), Epoch(0));
    for record in evidence.log.iter().filter(|record| record.offset < evidence.position.next_offset) {
        let at = record.offset;
        if let Some(replayed) = letters.get(&at) {
            // Of a letter that was replayed, some orders may have been taken.
            if let (true, Ok(Record::Accepted(batch))) = (replayed, &record.record) {
                settled.extend(batch.orders.iter().map(|o| o.id).filter(|id| rows.contains_key(id)));
            }
            continue;
        }
        match &record.record {
            Err(why) => probe.violate(format!("offset {at} cannot be read ({why}) and is no dead letter")),
            Ok(Record::Barrier(found)) => barrier = barrier.max(found.epoch),
            Ok(Record::Accepted(batch)) if batch.epoch < barrier => {
                void.extend(batch.orders.iter().map(|order| order.id));
            }
            Ok(Record::Accepted(batch)) => applied(&mut probe, at, batch, &rows, &mut settled),
            Ok(Record::Totals(change)) if change.epoch >= barrier => {
                probe.expect(evidence.changes.contains(&change.change_id), || {
                    format!("offset {at}: the change of totals {} was not applied", change.change_id)
                });
            }
            Ok(Record::Command(command)) => {
                cancelled.insert(command.order_id);
            }
            Ok(Record::Totals(_) | Record::Tick(_) | Record::Decision(_)) => {}
        }
    }
    let by_customer = evidence.orders.iter().filter(|row| row.cancel_reason.as_deref() == Some("customer"));
    for row in by_customer.filter(|row| !cancelled.contains(&row.id)) {
        probe.violate(format!("{} is cancelled by its customer, and no command is in the log", row.id));
    }
    probe.expect(evidence.sale.settled_epoch == barrier, || {
        format!("settled_epoch is {}, the log's last barrier says {barrier}", evidence.sale.settled_epoch)
    });
    for row in evidence.orders.iter().filter(|row| !settled.contains(&row.id)) {
        let why = if void.contains(&row.id) { "is void in the log" } else { "is not in the log" };
        probe.violate(format!("{} of {} stands in Postgres and {why}", row.id, row.customer));
    }
    probe.count("records", evidence.log.len());
    probe.count("orders applied", settled.len());
    probe.count("void orders", void.iter().filter(|id| !settled.contains(*id)).count());
    probe.count("dead letters", letters.len());
    probe.finish()
}

fn applied(
    probe: &mut Probe,
    offset: i64,
    batch: &AcceptedBatch,
    rows: &FxHashMap<OrderId, &OrderRow>,
    settled: &mut FxHashSet<OrderId>,
) {
    for order in &batch.orders {
        settled.insert(order.id);
        match rows.get(&order.id) {
            None => probe.violate(format!("offset {offset}: {} was acknowledged and skipped", order.id)),
            Some(row) => {
                let stored: Vec<_> = row.lines.iter().map(|(sku, n)| (sku.as_str(), *n)).collect();
                let logged: Vec<_> =
                    order.lines.iter().map(|l| (l.sku.as_str(), u64::from(l.quantity))).collect();
                let same = stored == logged
                    && row.customer == order.customer
                    && row.key == order.key
                    && row.amounts == order.amounts();
                probe.expect(same, || {
                    format!("offset {offset}: {} is stored otherwise than the log has it", order.id)
                });
            }
        }
    }
}

/// The position lies where the log ends, and the sequence of events below it has neither hole nor double.
fn bounds(probe: &mut Probe, evidence: &Evidence) {
    let position = &evidence.position;
    let (rest, end) = (*evidence.log_end.start(), *evidence.log_end.end());
    probe.expect(position.next_offset >= rest, || {
        format!("the position is {}, the log had reached {rest}", position.next_offset)
    });
    probe.expect(position.next_offset <= end, || {
        format!("the position is {}, the log ends at {end}", position.next_offset)
    });
    probe.expect(position.next_seq == position.seq_max + 1, || {
        format!("next_seq is {}, the highest event sequence is {}", position.next_seq, position.seq_max)
    });
    probe.expect(position.seq_rows == position.seq_distinct, || {
        format!("{} event rows share {} sequences", position.seq_rows, position.seq_distinct)
    });
    probe.expect(position.seq_distinct == position.seq_max, || {
        format!(
            "{} of {} event sequences are missing",
            position.seq_max - position.seq_distinct,
            position.seq_max
        )
    });
    probe.count("event sequences", position.seq_max.max(0) as usize);
}

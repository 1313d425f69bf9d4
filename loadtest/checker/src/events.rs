//! Invariant 8: only legal moves, each told at least once, in order.

use contract::event::Movement;
use contract::ids::OrderId;
use contract::lifecycle::{OrderStatus, Trigger};
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{EventRow, Evidence};
use super::finding::{Finding, Probe};

/// Invariant 8. Histories are legal, and the event topics tell them.
pub fn legal_history(evidence: &Evidence) -> Finding {
    let mut probe =
        Probe::new(8, "only legal moves; events of an order in order, at least once, with unique ids");
    let mut histories: FxHashMap<OrderId, Vec<&EventRow>> = FxHashMap::default();
    for event in &evidence.events {
        histories.entry(event.order_id).or_default().push(event);
    }
    for order in &evidence.orders {
        match histories.get(&order.id) {
            None => probe.violate(format!("{} has no event", order.id)),
            Some(history) => {
                if let Some(why) = illegal(history, &order.status) {
                    probe.violate(format!("{}: {why}", order.id));
                }
            }
        }
    }
    probe.count("orders", evidence.orders.len());
    probe.count("events", evidence.events.len());
    order_events_told(&mut probe, evidence);
    movements_told(&mut probe, evidence);
    probe.finish()
}

/// Why a history is not one that the lifecycle allows.
fn illegal(history: &[&EventRow], status: &str) -> Option<String> {
    let mut at = OrderStatus::Processing;
    for event in history {
        let Some(next) = OrderStatus::parse(&event.status) else {
            return Some(format!("{:?} is no status", event.status));
        };
        if !Trigger::ALL.into_iter().any(|trigger| at.next(trigger) == Ok(next)) {
            return Some(format!("the lifecycle has no move from {} to {}", at.as_str(), next.as_str()));
        }
        at = next;
    }
    (at.as_str() != status).then(|| format!("the history ends with {}, the row with {status}", at.as_str()))
}

/// `order-events` holds every event, in the order of its order.
fn order_events_told(probe: &mut Probe, evidence: &Evidence) {
    let partition = evidence.sale.partition;
    let mut told: FxHashMap<&str, (&str, &str)> = FxHashMap::default();
    let mut last: FxHashMap<&str, i64> = FxHashMap::default();
    for event in &evidence.published {
        let said = (event.key.as_str(), event.status.as_str());
        if let Some(before) = told.insert(&event.id, said) {
            // The same message again: delivery is at least once.
            probe.expect(before == said, || format!("event {} means {before:?} and {said:?}", event.id));
            continue;
        }
        let seq = event.id.split_once('-').and_then(|(_, seq)| seq.parse::<i64>().ok());
        let Some(seq) = seq else {
            probe.violate(format!("event id {:?} is not partition-seq", event.id));
            continue;
        };
        let last = last.entry(&event.key).or_insert(i64::MIN);
        probe.expect(seq > *last, || format!("{}: event {seq} was told after {last}", event.key));
        *last = seq;
    }
    probe.count("told", told.len());
    if evidence.untold > 0 {
        probe.violate(format!("{} events of the partition were not published in time", evidence.untold));
        return;
    }
    for event in &evidence.events {
        let id = format!("{partition}-{}", event.seq);
        let key = event.order_id.to_string();
        let expected = (key.as_str(), event.status.as_str());
        match told.get(id.as_str()) {
            None => probe.violate(format!("event {id} ({} of {key}) is not in order-events", event.status)),
            Some(said) => probe.expect(*said == expected, || {
                format!("event {id} says {said:?} in order-events, {expected:?} in Postgres")
            }),
        }
    }
    probe.expect(told.len() <= evidence.events.len(), || {
        format!("order-events tells {} events, Postgres has {}", told.len(), evidence.events.len())
    });
}

/// `inventory-events` reserves what orders take, confirms what is paid for and releases what cancelled ones give back: no line is
/// missing, none is told of twice under different ids.
fn movements_told(probe: &mut Probe, evidence: &Evidence) {
    let mut ids: FxHashMap<&str, (Option<OrderId>, &str)> = FxHashMap::default();
    let mut moved: FxHashMap<(&str, OrderId, &str), u64> = FxHashMap::default();
    for movement in &evidence.movements {
        let of = (movement.order_id, movement.sku.as_str());
        if let Some(before) = ids.insert(&movement.id, of) {
            probe.expect(before == of, || {
                format!("stock movement {} means {before:?} and {of:?}", movement.id)
            });
            continue;
        }
        if let Some(order) = movement.order_id {
            *moved.entry((&movement.movement, order, &movement.sku)).or_default() += movement.quantity;
        }
    }
    probe.count("movements", ids.len());
    if evidence.untold > 0 {
        return;
    }
    let paid: FxHashSet<OrderId> = evidence
        .events
        .iter()
        .filter(|event| event.status == OrderStatus::PaymentCompleted.as_str())
        .map(|event| event.order_id)
        .collect();
    let told = |movement: Movement, order: OrderId, sku: &str| {
        moved.get(&(movement.as_str(), order, sku)).copied().unwrap_or(0)
    };
    for order in &evidence.orders {
        for (sku, quantity) in &order.lines {
            let reserved = told(Movement::Reserved, order.id, sku.as_str());
            probe.expect(reserved == *quantity, || {
                format!("{}: {quantity} of {sku} ordered, inventory-events reserves {reserved}", order.id)
            });
            let confirmed = told(Movement::Confirmed, order.id, sku.as_str());
            let expected = if paid.contains(&order.id) { *quantity } else { 0 };
            probe.expect(confirmed == expected, || {
                format!("{}: inventory-events confirms {confirmed} {sku}, {expected} were paid for", order.id)
            });
            let released = told(Movement::Released, order.id, sku.as_str());
            let expected = if order.is_live() { 0 } else { *quantity };
            probe.expect(released == expected, || {
                let status = &order.status;
                format!("{} ({status}): inventory-events releases {released} of {quantity} {sku}", order.id)
            });
        }
    }
}

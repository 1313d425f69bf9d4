//! Invariant 8: only legal transitions, each published at least once and in order.

use contract::event::Movement;
use contract::ids::OrderId;
use contract::lifecycle::{OrderStatus, Trigger};
use invariants::{history, sequence};
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{EventRow, Evidence};
use super::finding::{Finding, FindingBuilder};

/// Invariant 8: histories are legal, and the event topics contain them.
pub fn legal_history(evidence: &Evidence) -> Finding {
    let mut finding = FindingBuilder::new(
        8,
        "only legal transitions; events of an order in order, at least once, with unique ids",
    );
    let mut histories: FxHashMap<OrderId, Vec<&EventRow>> = FxHashMap::default();
    for event in &evidence.stored.events {
        histories.entry(event.order_id).or_default().push(event);
    }
    for order in &evidence.stored.orders {
        match histories.get(&order.id) {
            None => finding.add_violation(format!("{} has no event", order.id)),
            Some(history) => {
                if let Some(unknown) =
                    history.iter().find(|event| OrderStatus::parse(&event.status).is_none())
                {
                    finding.add_violation(format!("{}: {:?} is not a status", order.id, unknown.status));
                }
                let statuses = history.iter().map(|event| event.status.as_str());
                let initial = OrderStatus::Processing.as_str();
                let check = history::leads_to(initial, statuses, order.status.as_str(), is_legal);
                finding.require(order.id, check);
            }
        }
    }
    finding.count("orders", evidence.stored.orders.len());
    finding.count("events", evidence.stored.events.len());
    order_events_published(&mut finding, evidence);
    movements_published(&mut finding, evidence);
    finding.finish()
}

/// Returns whether the lifecycle has this transition. A text that is no status has none.
fn is_legal(from: &str, to: &str) -> bool {
    let (Some(from), Some(to)) = (OrderStatus::parse(from), OrderStatus::parse(to)) else { return false };
    Trigger::ALL.into_iter().any(|trigger| from.next(trigger) == Ok(to))
}

/// `order-events` contains every event, in order for each order.
fn order_events_published(finding: &mut FindingBuilder, evidence: &Evidence) {
    let partition = evidence.stored.sale.partition;
    let mut published: FxHashMap<&str, (&str, &str)> = FxHashMap::default();
    let mut last: FxHashMap<&str, Option<i64>> = FxHashMap::default();
    for event in &evidence.published {
        let content = (event.key.as_str(), event.status.as_str());
        if let Some(before) = published.insert(&event.id, content) {
            // A duplicate is allowed: delivery is at least once.
            finding.expect(before == content, || format!("event {} is {before:?} and {content:?}", event.id));
            continue;
        }
        let seq = event.id.split_once('-').and_then(|(_, seq)| seq.parse::<i64>().ok());
        let Some(seq) = seq else {
            finding.add_violation(format!("event id {:?} is not partition-seq", event.id));
            continue;
        };
        let last = last.entry(&event.key).or_default();
        finding.require(&event.key, sequence::ascending(*last, seq));
        *last = Some(seq);
    }
    finding.count("published", published.len());
    if evidence.unpublished > 0 {
        finding.add_violation(format!(
            "{} events of the partition were not published in time",
            evidence.unpublished
        ));
        return;
    }
    for event in &evidence.stored.events {
        let id = format!("{partition}-{}", event.seq);
        let key = event.order_id.to_string();
        let expected = (key.as_str(), event.status.as_str());
        match published.get(id.as_str()) {
            None => finding
                .add_violation(format!("event {id} ({} of {key}) is not in order-events", event.status)),
            Some(content) => finding.expect(*content == expected, || {
                format!("event {id} is {content:?} in order-events, {expected:?} in Postgres")
            }),
        }
    }
    finding.expect(published.len() <= evidence.stored.events.len(), || {
        format!("order-events has {} events, Postgres has {}", published.len(), evidence.stored.events.len())
    });
}

/// `inventory-events` reserves the units of orders, confirms those of paid orders and releases those of
/// cancelled orders: no line is missing, and none is published twice with different ids.
fn movements_published(finding: &mut FindingBuilder, evidence: &Evidence) {
    let mut ids: FxHashMap<&str, (Option<OrderId>, &str)> = FxHashMap::default();
    let mut moved: FxHashMap<(&str, OrderId, &str), u64> = FxHashMap::default();
    for movement in &evidence.movements {
        let content = (movement.order_id, movement.sku.as_str());
        if let Some(before) = ids.insert(&movement.id, content) {
            finding.expect(before == content, || {
                format!("stock movement {} is {before:?} and {content:?}", movement.id)
            });
            continue;
        }
        if let Some(order) = movement.order_id {
            *moved.entry((&movement.movement, order, &movement.sku)).or_default() += movement.quantity;
        }
    }
    finding.count("movements", ids.len());
    if evidence.unpublished > 0 {
        return;
    }
    let paid: FxHashSet<OrderId> = evidence
        .stored
        .events
        .iter()
        .filter(|event| event.status == OrderStatus::PaymentCompleted.as_str())
        .map(|event| event.order_id)
        .collect();
    let units = |movement: Movement, order: OrderId, sku: &str| {
        moved.get(&(movement.as_str(), order, sku)).copied().unwrap_or(0)
    };
    for order in &evidence.stored.orders {
        for (sku, quantity) in &order.lines {
            let reserved = units(Movement::Reserved, order.id, sku.as_str());
            finding.expect(reserved == *quantity, || {
                format!("{}: {quantity} of {sku} ordered, inventory-events reserves {reserved}", order.id)
            });
            let confirmed = units(Movement::Confirmed, order.id, sku.as_str());
            let expected = if paid.contains(&order.id) { *quantity } else { 0 };
            finding.expect(confirmed == expected, || {
                format!("{}: inventory-events confirms {confirmed} {sku}, {expected} were paid for", order.id)
            });
            let released = units(Movement::Released, order.id, sku.as_str());
            let expected = if order.is_live() { 0 } else { *quantity };
            finding.expect(released == expected, || {
                let status = &order.status;
                format!("{} ({status}): inventory-events releases {released} of {quantity} {sku}", order.id)
            });
        }
    }
}

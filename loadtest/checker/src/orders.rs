//! Invariants 2 and 3: every acceptance has its order, and every order has its request.

use invariants::orders;
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{Evidence, OrderRow};
use super::finding::{Finding, FindingBuilder};
use customers::journal::Entry;

/// Invariant 2: each 202 has one row with the same content.
pub fn every_acceptance_is_settled(evidence: &Evidence) -> Finding {
    let mut finding = FindingBuilder::new(
        2,
        "every 202 has exactly one settled order with the same id, lines and sequence",
    );
    let rows = evidence.orders_by_id();
    finding
        .expect(rows.len() == evidence.stored.orders.len(), || "an order id is in more than one row".into());
    let mut acceptances = 0;
    let mut ids = FxHashSet::default();
    for entry in evidence.journal.iter().filter(|entry| entry.is_accepted()) {
        acceptances += 1;
        let Some(id) = entry.order_id else {
            finding.add_violation(format!("{} got a 202 without an order id", entry.customer));
            continue;
        };
        ids.insert(id);
        let (row, who) = (rows.get(&id), format!("{id} of {}", entry.customer));
        finding.require(&who, orders::acceptance_settled(row.is_some()));
        if let Some(difference) = row.and_then(|row| difference(entry, row)) {
            finding.add_violation(format!("{who}: {difference}"));
        }
    }
    for row in evidence.stored.orders.iter().filter(|row| row.status == "processing") {
        finding.add_violation(format!("{} is stored as processing", row.id));
    }
    finding.count("answers", acceptances);
    finding.count("orders acknowledged", ids.len());
    finding.count("rows", evidence.stored.orders.len());
    finding.finish()
}

/// Returns the first difference between a 202 and the stored order.
fn difference(entry: &Entry, row: &OrderRow) -> Option<String> {
    if entry.customer != row.customer.as_str() {
        return Some(format!("the row belongs to {}", row.customer));
    }
    if entry.key.as_deref() != Some(row.key.as_str()) {
        return Some(format!("key {:?} sent, {:?} stored", entry.key, row.key.as_str()));
    }
    if entry.sequence != Some(row.sequence.0) {
        return Some(format!("sequence {:?} acknowledged, {} stored", entry.sequence, row.sequence));
    }
    let stored: Vec<_> = row.lines.iter().map(|(sku, quantity)| (sku.to_string(), *quantity)).collect();
    if !entry.lines.is_empty() && entry.lines != stored {
        return Some(format!("lines {:?} ordered, {stored:?} stored", entry.lines));
    }
    if entry.digest.is_some_and(|digest| digest != row.digest) {
        return Some("the stored request digest differs".into());
    }
    let amounts = [
        ("subtotal", entry.subtotal, row.amounts.subtotal),
        ("discount", entry.discount, row.amounts.discount),
        ("delivery_fee", entry.delivery_fee, row.amounts.delivery_fee),
        ("total", entry.total, row.total),
    ];
    let differs = amounts.into_iter().find(|(_, acknowledged, stored)| *acknowledged != Some(*stored));
    differs
        .map(|(name, acknowledged, stored)| format!("{name} {acknowledged:?} acknowledged, {stored} stored"))
}

/// Invariant 3: every order has a request, and no customer exceeds the limit.
pub fn every_order_was_requested(evidence: &Evidence) -> Finding {
    let mut finding =
        FindingBuilder::new(3, "every order comes from a request; no customer has more than the limit");
    let requests = evidence.requests();
    let mut without_request = 0;
    for row in &evidence.stored.orders {
        let entries = requests.get(&(row.customer.as_str(), row.key.as_str()));
        match entries {
            None if evidence.expectations.journal_complete => {
                finding.add_violation(format!("{} of {}: no request ordered it", row.id, row.customer));
            }
            None => without_request += 1,
            Some(entries) => finding
                .expect(entries.iter().any(|entry| entry.digest == Some(row.digest)), || {
                    format!("{} of {}: no request of this key had this body", row.id, row.customer)
                }),
        }
    }
    let mut live: FxHashMap<&str, u64> = FxHashMap::default();
    for row in evidence.stored.orders.iter().filter(|row| row.is_live()) {
        *live.entry(row.customer.as_str()).or_default() += 1;
    }
    let limit = evidence.stored.sale.max_orders_per_customer.map(u64::from);
    for (customer, orders) in &live {
        finding.require(customer, orders::within_limit(*orders, limit));
    }
    finding.count("rows", evidence.stored.orders.len());
    finding.count("customers", live.len());
    if without_request > 0 {
        finding.add_note(format!(
            "{without_request} rows have no request in the journal, which is not declared complete"
        ));
    }
    finding.finish()
}

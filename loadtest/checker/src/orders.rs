//! Invariants 2 and 3: every answer has its order, every order has its request.

use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{Evidence, OrderRow};
use super::finding::{Finding, Probe};
use customers::journal::Entry;

/// Invariant 2. Each 202 has one row, and the row says what the 202 said.
pub fn every_acceptance_is_settled(evidence: &Evidence) -> Finding {
    let mut probe =
        Probe::new(2, "every 202 has exactly one settled order with the same id, lines and sequence");
    let rows = evidence.orders_by_id();
    probe.expect(rows.len() == evidence.orders.len(), || "an order id stands in more than one row".into());
    let mut answers = 0;
    let mut ids = FxHashSet::default();
    for entry in evidence.journal.iter().filter(|entry| entry.is_accepted()) {
        answers += 1;
        let Some(id) = entry.order_id else {
            probe.violate(format!("{} was given a 202 without an order id", entry.customer));
            continue;
        };
        ids.insert(id);
        match rows.get(&id) {
            None => probe.violate(format!("{id} of {} was answered 202 and has no row", entry.customer)),
            Some(row) => {
                if let Some(difference) = difference(entry, row) {
                    probe.violate(format!("{id} of {}: {difference}", entry.customer));
                }
            }
        }
    }
    for row in evidence.orders.iter().filter(|row| row.status == "processing") {
        probe.violate(format!("{} is stored as processing", row.id));
    }
    probe.count("answers", answers);
    probe.count("orders told", ids.len());
    probe.count("rows", evidence.orders.len());
    probe.finish()
}

/// The first difference between what a customer was told and what is stored.
fn difference(told: &Entry, row: &OrderRow) -> Option<String> {
    if told.customer != row.customer.as_str() {
        return Some(format!("the row belongs to {}", row.customer));
    }
    if told.key.as_deref() != Some(row.key.as_str()) {
        return Some(format!("key {:?} told, {:?} stored", told.key, row.key.as_str()));
    }
    if told.sequence != Some(row.sequence.0) {
        return Some(format!("sequence {:?} told, {} stored", told.sequence, row.sequence));
    }
    let stored: Vec<_> = row.lines.iter().map(|(sku, quantity)| (sku.to_string(), *quantity)).collect();
    if !told.lines.is_empty() && told.lines != stored {
        return Some(format!("lines {:?} asked for, {stored:?} stored", told.lines));
    }
    if told.digest.is_some_and(|digest| digest != row.digest) {
        return Some("the stored request digest is another".into());
    }
    let amounts = [
        ("subtotal", told.subtotal, row.amounts.subtotal),
        ("discount", told.discount, row.amounts.discount),
        ("delivery_fee", told.delivery_fee, row.amounts.delivery_fee),
        ("total", told.total, row.total),
    ];
    let differs = amounts.into_iter().find(|(_, told, stored)| *told != Some(*stored));
    differs.map(|(name, told, stored)| format!("{name} {told:?} told, {stored} stored"))
}

/// Invariant 3. No order without a request, and no customer above the limit.
pub fn every_order_was_asked_for(evidence: &Evidence) -> Finding {
    let mut probe = Probe::new(3, "every order comes from a request; no customer has more than the limit");
    let requests = evidence.requests();
    let mut unasked = 0;
    for row in &evidence.orders {
        let entries = requests.get(&(row.customer.as_str(), row.key.as_str()));
        match entries {
            None if evidence.expectations.journal_complete => {
                probe.violate(format!("{} of {}: nobody asked for it", row.id, row.customer));
            }
            None => unasked += 1,
            Some(entries) => probe
                .expect(entries.iter().any(|entry| entry.digest == Some(row.digest)), || {
                    format!("{} of {}: no request of this key had this body", row.id, row.customer)
                }),
        }
    }
    let mut live: FxHashMap<&str, u32> = FxHashMap::default();
    for row in evidence.orders.iter().filter(|row| row.is_live()) {
        *live.entry(row.customer.as_str()).or_default() += 1;
    }
    if let Some(limit) = evidence.sale.max_orders_per_customer {
        for (customer, orders) in live.iter().filter(|(_, orders)| **orders > limit) {
            probe.violate(format!("{customer} has {orders} live orders, the limit is {limit}"));
        }
    }
    probe.count("rows", evidence.orders.len());
    probe.count("customers", live.len());
    if unasked > 0 {
        probe.note(format!("{unasked} rows have no request in the journal, which is not declared complete"));
    }
    probe.finish()
}

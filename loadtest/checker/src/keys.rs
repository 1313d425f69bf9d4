//! Invariant 4: one request has one outcome, however often it is sent.

use contract::ids::OrderId;
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{Evidence, OrderRow};
use super::finding::{Finding, Probe};
use customers::journal::Entry;

/// Invariant 4. The same customer and key: the same order. A definite refusal leaves no live order.
pub fn one_key_one_order(evidence: &Evidence) -> Finding {
    let mut probe = Probe::new(4, "one customer and Idempotency-Key: one order; a refusal leaves none");
    let requests = evidence.requests();
    let rows = evidence.orders_by_request();
    let by_id = evidence.orders_by_id();
    probe.expect(rows.len() == evidence.orders.len(), || {
        "a customer's key stands in more than one row".into()
    });
    for ((customer, key), entries) in &requests {
        let who = format!("{customer} with key {key}");
        let row = rows.get(&(*customer, *key)).copied();
        same_order(&mut probe, &who, entries);
        repeats(&mut probe, &who, entries);
        refused_for_good(&mut probe, &who, entries, row);
        for entry in entries {
            refers_to_an_order(&mut probe, &who, entry, row, &by_id);
        }
    }
    probe.count("keys", requests.len());
    probe.count("sent more than once", requests.values().filter(|entries| entries.len() > 1).count());
    probe.finish()
}

/// All 202s of a key tell the same.
fn same_order(probe: &mut Probe, who: &str, entries: &[&Entry]) {
    let told: FxHashSet<(Option<OrderId>, Option<u64>, Option<u64>)> = entries
        .iter()
        .filter(|entry| entry.is_accepted())
        .map(|entry| (entry.order_id, entry.sequence, entry.total))
        .collect();
    probe.expect(told.len() <= 1, || format!("{who} was told of different orders: {told:?}"));
}

/// Once a 202 was received, the same body gets it again, and another body does not.
fn repeats(probe: &mut Probe, who: &str, entries: &[&Entry]) {
    let Some(first) = entries.iter().filter(|e| e.is_accepted()).min_by_key(|e| e.answered_us) else {
        return;
    };
    for later in entries.iter().filter(|entry| entry.sent_us > first.answered_us && entry.digest.is_some()) {
        if later.digest == first.digest {
            probe.expect(!later.is_definite_refusal(), || {
                format!("{who} had a 202, and its repeat was refused as {:?}", later.code)
            });
        } else {
            probe.expect(!later.is_accepted(), || format!("{who} had a 202, and another body got one too"));
        }
    }
}

/// Only definite refusals, and still an order.
fn refused_for_good(probe: &mut Probe, who: &str, entries: &[&Entry], row: Option<&OrderRow>) {
    if let Some(row) = row.filter(|row| row.is_live())
        && entries.iter().all(|entry| entry.is_definite_refusal())
    {
        let code = entries.last().and_then(|entry| entry.code.as_deref()).unwrap_or("?");
        probe.violate(format!("{who} was refused as {code} and has the live order {}", row.id));
    }
}

/// A refusal that speaks of an order speaks of one that exists.
fn refers_to_an_order(
    probe: &mut Probe,
    who: &str,
    entry: &Entry,
    row: Option<&OrderRow>,
    by_id: &FxHashMap<OrderId, &OrderRow>,
) {
    match entry.code.as_deref() {
        Some("duplicate_order") => {
            let named = entry.order_id.and_then(|id| by_id.get(&id));
            probe.expect(named.is_some_and(|named| named.customer.as_str() == entry.customer), || {
                format!("{who} was told of an earlier order {:?}, which is not theirs", entry.order_id)
            });
        }
        Some("idempotency_key_reused") => {
            probe.expect(row.is_some_and(|row| entry.digest != Some(row.digest)), || {
                format!("{who} was told that the key belongs to another request, and it does not")
            });
        }
        _ => {}
    }
}

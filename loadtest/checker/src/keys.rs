//! Invariant 4: a request has one outcome, no matter how often it is sent.

use contract::ids::OrderId;
use rustc_hash::{FxHashMap, FxHashSet};

use super::evidence::{Evidence, OrderRow};
use super::finding::{Finding, FindingBuilder};
use customers::journal::Entry;

/// Invariant 4: the same customer and key result in the same order, and a definite refusal leaves no live
/// order.
pub fn one_key_one_order(evidence: &Evidence) -> Finding {
    let mut finding =
        FindingBuilder::new(4, "one customer and Idempotency-Key: one order; a refusal leaves none");
    let requests = evidence.requests();
    let rows = evidence.orders_by_request();
    let by_id = evidence.orders_by_id();
    finding.expect(rows.len() == evidence.stored.orders.len(), || {
        "a customer's key is in more than one row".into()
    });
    for ((customer, key), entries) in &requests {
        let who = format!("{customer} with key {key}");
        let row = rows.get(&(*customer, *key)).copied();
        same_order(&mut finding, &who, entries);
        repeats(&mut finding, &who, entries);
        definitely_refused(&mut finding, &who, entries, row);
        for entry in entries {
            refers_to_an_order(&mut finding, &who, entry, row, &by_id);
        }
    }
    finding.count("keys", requests.len());
    finding.count("sent more than once", requests.values().filter(|entries| entries.len() > 1).count());
    finding.finish()
}

/// All 202s of a key acknowledge the same order.
fn same_order(finding: &mut FindingBuilder, who: &str, entries: &[&Entry]) {
    let acknowledged: FxHashSet<(Option<OrderId>, Option<u64>, Option<u64>)> = entries
        .iter()
        .filter(|entry| entry.is_accepted())
        .map(|entry| (entry.order_id, entry.sequence, entry.total))
        .collect();
    finding
        .expect(acknowledged.len() <= 1, || format!("{who} got 202s of different orders: {acknowledged:?}"));
}

/// After a 202, the same body gets it again and another body does not.
fn repeats(finding: &mut FindingBuilder, who: &str, entries: &[&Entry]) {
    let Some(first) = entries.iter().filter(|e| e.is_accepted()).min_by_key(|e| e.answered_us) else {
        return;
    };
    for later in entries.iter().filter(|entry| entry.sent_us > first.answered_us && entry.digest.is_some()) {
        if later.digest == first.digest {
            finding.expect(!later.is_definite_refusal(), || {
                format!("{who} got a 202, and its repeat was refused as {:?}", later.code)
            });
        } else {
            finding.expect(!later.is_accepted(), || format!("{who} got a 202, and another body got one too"));
        }
    }
}

/// A request with only definite refusals has no live order.
fn definitely_refused(finding: &mut FindingBuilder, who: &str, entries: &[&Entry], row: Option<&OrderRow>) {
    if let Some(row) = row.filter(|row| row.is_live())
        && entries.iter().all(|entry| entry.is_definite_refusal())
    {
        let code = entries.last().and_then(|entry| entry.code.as_deref()).unwrap_or("?");
        finding.add_violation(format!("{who} was refused as {code} and has the live order {}", row.id));
    }
}

/// A refusal that names an order names an existing order of the customer.
fn refers_to_an_order(
    finding: &mut FindingBuilder,
    who: &str,
    entry: &Entry,
    row: Option<&OrderRow>,
    by_id: &FxHashMap<OrderId, &OrderRow>,
) {
    match entry.code.as_deref() {
        Some("duplicate_order") => {
            let named = entry.order_id.and_then(|id| by_id.get(&id));
            finding.expect(named.is_some_and(|named| named.customer.as_str() == entry.customer), || {
                format!("{who} was referred to an earlier order {:?}, which is not theirs", entry.order_id)
            });
        }
        Some("idempotency_key_reused") => {
            finding.expect(row.is_some_and(|row| entry.digest != Some(row.digest)), || {
                format!("{who} was refused because the key belongs to another request, and it does not")
            });
        }
        _ => {}
    }
}

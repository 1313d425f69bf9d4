//! Invariants 1, 5 and 6: no unit is sold twice, lost, or left over.

use std::collections::{BTreeMap, HashMap};

use contract::ids::OrderId;
use invariants::stock::{self, Stock};

use super::evidence::{Evidence, ItemRow};
use super::finding::{Finding, FindingBuilder};

/// Returns the units of live orders by SKU.
fn units_ordered(evidence: &Evidence) -> BTreeMap<&str, u64> {
    let mut units = BTreeMap::new();
    for (sku, quantity) in
        evidence.stored.orders.iter().filter(|order| order.is_live()).flat_map(|o| &o.lines)
    {
        *units.entry(sku.as_str()).or_default() += quantity;
    }
    units
}

/// Returns where the units of an item are, by Postgres.
fn stock_of(item: &ItemRow) -> Stock {
    Stock { total: item.total, held: item.held, sold: item.sold, dead_lettered: item.dead_lettered }
}

/// Invariant 1: held + sold <= total, and both equal the units of the orders.
pub fn never_oversold(evidence: &Evidence) -> Finding {
    let mut finding = FindingBuilder::new(1, "never oversold: held + sold <= total for every limited item");
    let ordered = units_ordered(evidence);
    for item in &evidence.stored.items {
        let (sku, stock) = (&item.sku, stock_of(item));
        let lines = ordered.get(sku.as_str()).copied().unwrap_or(0);
        finding.require(sku, stock::never_oversold(&stock));
        finding.require(sku, stock::orders_within(stock.total, lines));
        finding.require(sku, stock::orders_match(&stock, lines));
    }
    for sku in
        ordered.keys().filter(|sku| !evidence.stored.items.iter().any(|item| item.sku.as_str() == **sku))
    {
        finding.add_violation(format!("{sku} is ordered and is no item of the sale"));
    }
    finding.count("items", evidence.stored.items.len());
    finding.count("units", ordered.values().sum::<u64>() as usize);
    finding.finish()
}

/// Invariant 5: every unit is in Redis, in an order or in a dead letter when the sale is quiescent.
pub fn every_unit_accounted_for(evidence: &Evidence) -> Finding {
    let mut finding =
        FindingBuilder::new(5, "quiescent: redis_available + held + sold + dead_lettered = total");
    finding.count("items", evidence.stored.items.len());
    finding.count("releases", evidence.stored.releases.len());
    returned_once(&mut finding, evidence);
    for item in &evidence.stored.items {
        let undecided = evidence.stored.dead_letters.iter().filter(|letter| {
            letter.undecided && letter.sale_id.as_deref() == Some(evidence.stored.sale.sale_id.as_str())
        });
        let letters: u64 = undecided.filter_map(|letter| letter.units.get(item.sku.as_str())).sum();
        finding.expect(letters == item.dead_lettered, || {
            format!(
                "{}: {} units counted as dead-lettered, the dead letters contain {letters}",
                item.sku, item.dead_lettered
            )
        });
    }
    let Some(redis) = &evidence.redis else {
        finding.mark_unchecked("the sale is not ready, so there is nothing in Redis to compare with".into());
        return finding.finish();
    };
    if !evidence.pending.is_empty() {
        finding.mark_unchecked(format!("not quiescent: {}", evidence.pending.join("; ")));
        return finding.finish();
    }
    for item in &evidence.stored.items {
        let sku = item.sku.as_str();
        let returning = redis.returning.get(sku).copied().unwrap_or(0);
        match (item.total, redis.available.get(sku)) {
            (Some(total), Some(Some(available))) => {
                finding.require(sku, stock::conserved(&stock_of(item), available + returning));
                let redis_total = redis.totals.get(sku).copied();
                finding.expect(redis_total == Some(total), || {
                    format!("{sku}: the total is {total} in Postgres, {redis_total:?} in Redis")
                });
            }
            (None, Some(None)) => {}
            (total, found) => finding.add_violation(format!(
                "{sku}: limited to {total:?} in Postgres; {found:?} in Redis, where None means unlimited or absent"
            )),
        }
    }
    finding.finish()
}

/// Each cancelled order returns its units once; a live order returns none.
fn returned_once(finding: &mut FindingBuilder, evidence: &Evidence) {
    let mut returned: HashMap<(OrderId, &str), u64> = HashMap::new();
    for release in &evidence.stored.releases {
        let (Some(order), Some(sku)) = (release.order_id, &release.sku) else { continue };
        if returned.insert((order, sku.as_str()), release.units).is_some() {
            finding.add_violation(format!("units of {order} were returned twice"));
        }
    }
    let mut cancelled = 0;
    for order in &evidence.stored.orders {
        cancelled += usize::from(!order.is_live());
        for (sku, quantity) in &order.lines {
            let back = returned.get(&(order.id, sku.as_str())).copied().unwrap_or(0);
            let expected = if order.is_live() { 0 } else { *quantity };
            finding.expect(back == expected, || {
                format!("{} ({}): {quantity} of {sku} ordered, {back} returned", order.id, order.status)
            });
        }
    }
    finding.count("cancelled orders", cancelled);
}

/// Invariant 6: when demand exceeded supply, no units are left over.
pub fn nothing_left_over(evidence: &Evidence) -> Finding {
    let mut finding = FindingBuilder::new(6, "demand above supply sells everything");
    if !evidence.pending.is_empty() {
        finding.mark_unchecked(format!("not quiescent: {}", evidence.pending.join("; ")));
        return finding.finish();
    }
    let mut least: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in evidence.journal.iter().filter(|entry| entry.code.as_deref() == Some("sold_out")) {
        if let (Some(sku), Some(remaining)) = (&entry.sku, entry.remaining) {
            let least = least.entry(sku).or_insert(remaining);
            *least = remaining.min(*least);
        }
    }
    let mut checked = 0;
    for item in &evidence.stored.items {
        let Some(left) = stock_of(item).available() else { continue };
        let sku = item.sku.as_str();
        if evidence.expectations.sold_out {
            checked += 1;
            finding.expect(left == 0, || format!("{sku}: {left} units are left over"));
        } else if let Some(remaining) = least.get(sku).filter(|_| !evidence.came_back(sku)) {
            checked += 1;
            finding.require(sku, stock::nothing_left_over(left, *remaining));
        }
    }
    finding.count("items checked", checked);
    if checked == 0 {
        finding.add_note("no request was refused as sold out".into());
    }
    finding.finish()
}

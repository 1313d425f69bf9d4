//! Invariants 1, 5 and 6: no unit is sold twice, none disappears, none is left over.

use std::collections::{BTreeMap, HashMap};

use contract::ids::OrderId;

use super::evidence::{Evidence, ItemRow};
use super::finding::{Finding, Probe};

/// Units of live orders, per SKU.
fn units_ordered(evidence: &Evidence) -> BTreeMap<&str, u64> {
    let mut units = BTreeMap::new();
    for (sku, quantity) in evidence.orders.iter().filter(|order| order.is_live()).flat_map(|o| &o.lines) {
        *units.entry(sku.as_str()).or_default() += quantity;
    }
    units
}

/// What Postgres has left of an item; negative when oversold.
fn database_available(item: &ItemRow) -> Option<i128> {
    let taken = i128::from(item.held) + i128::from(item.sold) + i128::from(item.dead_lettered);
    item.total.map(|total| i128::from(total) - taken)
}

/// Invariant 1. held + sold <= total, and both are what the orders say.
pub fn never_oversold(evidence: &Evidence) -> Finding {
    let mut probe = Probe::new(1, "never oversold: held + sold <= total for every limited item");
    let ordered = units_ordered(evidence);
    for item in &evidence.items {
        let taken = item.held + item.sold;
        if let Some(total) = item.total {
            probe.expect(taken <= total, || {
                format!("{}: {} held + {} sold of {total}", item.sku, item.held, item.sold)
            });
            let lines = ordered.get(item.sku.as_str()).copied().unwrap_or(0);
            probe.expect(lines <= total, || format!("{}: order lines name {lines} of {total}", item.sku));
        }
        let lines = ordered.get(item.sku.as_str()).copied().unwrap_or(0);
        probe.expect(taken == lines, || {
            format!("{}: held + sold is {taken}, the order lines say {lines}", item.sku)
        });
    }
    for sku in ordered.keys().filter(|sku| !evidence.items.iter().any(|item| item.sku.as_str() == **sku)) {
        probe.violate(format!("{sku} is ordered and is no item of the sale"));
    }
    probe.count("items", evidence.items.len());
    probe.count("units", ordered.values().sum::<u64>() as usize);
    probe.finish()
}

/// Invariant 5. At rest every unit is in Redis, in an order or in a dead letter.
pub fn every_unit_accounted_for(evidence: &Evidence) -> Finding {
    let mut probe = Probe::new(5, "at rest: redis_available + held + sold + dead_lettered = total");
    probe.count("items", evidence.items.len());
    probe.count("releases", evidence.releases.len());
    given_back_once(&mut probe, evidence);
    for item in &evidence.items {
        let undecided = evidence.dead_letters.iter().filter(|letter| {
            letter.undecided && letter.sale_id.as_deref() == Some(evidence.sale.sale_id.as_str())
        });
        let letters: u64 = undecided.filter_map(|letter| letter.units.get(item.sku.as_str())).sum();
        probe.expect(letters == item.dead_lettered, || {
            format!(
                "{}: {} counted as dead-lettered, the letters say {letters}",
                item.sku, item.dead_lettered
            )
        });
    }
    let Some(redis) = &evidence.redis else {
        probe.unchecked("the sale is not ready, so there is nothing in Redis to compare with".into());
        return probe.finish();
    };
    if !evidence.unrest.is_empty() {
        probe.unchecked(format!("not at rest: {}", evidence.unrest.join("; ")));
        return probe.finish();
    }
    for item in &evidence.items {
        let sku = item.sku.as_str();
        let returning = redis.returning.get(sku).copied().unwrap_or(0);
        match (item.total, redis.available.get(sku)) {
            (Some(total), Some(Some(available))) => {
                let sum = available + returning + item.held + item.sold + item.dead_lettered;
                probe.expect(sum == total, || {
                    format!(
                        "{sku}: {available} available + {returning} returning in Redis + {} held + {} sold + \
                         {} dead-lettered = {sum}, the total is {total}",
                        item.held, item.sold, item.dead_lettered
                    )
                });
                let redis_total = redis.totals.get(sku).copied();
                probe.expect(redis_total == Some(total), || {
                    format!("{sku}: the total is {total} in Postgres, {redis_total:?} in Redis")
                });
            }
            (None, Some(None)) => {}
            (total, found) => probe.violate(format!(
                "{sku}: limited to {total:?} in Postgres; {found:?} in Redis, where None means unlimited or absent"
            )),
        }
    }
    probe.finish()
}

/// Each cancelled order gives back what it had taken, once; a live one gives back nothing.
fn given_back_once(probe: &mut Probe, evidence: &Evidence) {
    let mut given_back: HashMap<(OrderId, &str), u64> = HashMap::new();
    for release in &evidence.releases {
        let (Some(order), Some(sku)) = (release.order_id, &release.sku) else { continue };
        if given_back.insert((order, sku.as_str()), release.units).is_some() {
            probe.violate(format!("units of {order} came back twice"));
        }
    }
    let mut cancelled = 0;
    for order in &evidence.orders {
        cancelled += usize::from(!order.is_live());
        for (sku, quantity) in &order.lines {
            let back = given_back.get(&(order.id, sku.as_str())).copied().unwrap_or(0);
            let expected = if order.is_live() { 0 } else { *quantity };
            probe.expect(back == expected, || {
                format!("{} ({}): {quantity} of {sku} taken, {back} given back", order.id, order.status)
            });
        }
    }
    probe.count("cancelled orders", cancelled);
}

/// Invariant 6. Where more was asked for than there was, nothing is left.
pub fn nothing_left_over(evidence: &Evidence) -> Finding {
    let mut probe = Probe::new(6, "demand above supply sells everything");
    if !evidence.unrest.is_empty() {
        probe.unchecked(format!("not at rest: {}", evidence.unrest.join("; ")));
        return probe.finish();
    }
    let mut least: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in evidence.journal.iter().filter(|entry| entry.code.as_deref() == Some("sold_out")) {
        if let (Some(sku), Some(remaining)) = (&entry.sku, entry.remaining) {
            let least = least.entry(sku).or_insert(remaining);
            *least = remaining.min(*least);
        }
    }
    let mut judged = 0;
    for item in &evidence.items {
        let Some(left) = database_available(item) else { continue };
        let sku = item.sku.as_str();
        if evidence.expectations.sold_out {
            judged += 1;
            probe.expect(left == 0, || format!("{sku}: {left} units are left over"));
        } else if let Some(told) = least.get(sku).filter(|_| !evidence.came_back(sku)) {
            judged += 1;
            probe.expect(left <= i128::from(*told), || {
                format!("{sku}: a customer was told that {told} remain, and {left} are left over")
            });
        }
    }
    probe.count("items judged", judged);
    if judged == 0 {
        probe.note("nobody was refused as sold out".into());
    }
    probe.finish()
}

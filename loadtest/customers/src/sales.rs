//! The sales that load runs against.

use std::time::{SystemTime, UNIX_EPOCH};

use contract::ids::{PolicyId, Sku};
use contract::money::Currency;
use contract::sale::{DiscountKind, DiscountPolicy, Item, SaleTerms};

/// The id of the sale that stays open for manual orders.
pub const SAMPLE: &str = "sample";

/// Returns an id that no earlier run has used.
pub fn unique_id(prefix: &str) -> String {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{prefix}-{:x}-{:x}", ms, std::process::id())
}

/// Returns an item. The SKUs that callers pass are valid constants.
fn item(sku: &str, name: &str, price: u64, total: Option<u64>) -> Item {
    Item { sku: parse_sku(sku), name: name.into(), price, total, max_quantity_per_order: 10 }
}

fn parse_sku(sku: &str) -> Sku {
    Sku::parse(sku).expect("a valid constant SKU")
}

fn terms(title: &str, limit: Option<u32>, items: Vec<Item>) -> SaleTerms {
    SaleTerms {
        title: title.into(),
        currency: Currency::KRW,
        opens_at: None,
        closes_at: None,
        max_orders_per_customer: limit,
        hold_seconds: 3600,
        delivery_fee: 3000,
        free_delivery_from: Some(50_000),
        discount_policies: Vec::new(),
        items,
    }
}

/// Returns the sale for manual orders: A 10,000 won x 50, B 20,000 won x 30, C 5,000 won unlimited.
pub fn sample() -> SaleTerms {
    let items = vec![
        item("A", "Item A", 10_000, Some(50)),
        item("B", "Item B", 20_000, Some(30)),
        item("C", "Item C", 5_000, None),
    ];
    terms("Sample sale", None, items)
}

/// The id of the burst sale's discount policy.
pub const BURST_POLICY: &str = "early-bird";

/// Returns a sale of two items with `units` units in total and one order per customer.
pub fn burst(units: u64) -> SaleTerms {
    let items = vec![
        item("SHIRT", "Concert shirt", 25_000, Some(units * 3 / 5)),
        item("POSTER", "Signed poster", 9_000, Some(units - units * 3 / 5)),
    ];
    let policy = DiscountPolicy {
        id: PolicyId::parse(BURST_POLICY).expect("a valid constant policy id"),
        kind: DiscountKind::Percent,
        value: 10,
        min_total: 20_000,
        max_discount: Some(5_000),
    };
    SaleTerms { discount_policies: vec![policy], ..terms("Burst sale", Some(1), items) }
}

/// Returns a sale of one item with `units` units and one order per customer.
pub fn single(title: &str, units: u64) -> SaleTerms {
    terms(title, Some(1), vec![item("A", "Item A", 10_000, Some(units))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sale_is_valid() {
        for terms in [sample(), burst(5000), burst(1), single("x", 1_000_000)] {
            terms.validate().unwrap();
        }
        let units: u64 = burst(5000).items.iter().filter_map(|item| item.total).sum();
        assert_eq!(units, 5000);
        assert_ne!(unique_id("s"), "s");
    }
}

//! The definition of a sale: items, prices, limits and the selling window.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::ids::{PolicyId, Sku};
use crate::money::Currency;
use crate::number::{whole, whole_or_null};
use crate::timestamp::Timestamp;

/// The maximum number of items in a sale. The scripts refer to the SKUs of a batch by two-byte indexes, so the
/// technical limit is much higher; a page with more items would be hard to read.
pub const ITEMS_MAX: usize = 200;
/// The maximum number of discount policies of a sale.
pub const POLICIES_MAX: usize = 50;
/// The maximum length of a title, item name, address line or payment token, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// The requirements that [`is_text`] checks, as a text for people.
pub(crate) const TEXT_RULE: &str = "1 to 200 characters, no control characters, and not white space alone";
/// The highest price or fee. With [`QUANTITY_MAX`] and [`crate::order::LINES_MAX`], no sum overflows 64 bits.
pub const PRICE_MAX: u64 = 1_000_000_000_000;
/// The maximum number of units of one SKU in one order.
pub const QUANTITY_MAX: u32 = 10_000;
/// The maximum number of units of one SKU in a sale. Lua counts exactly up to 2^53; five bytes hold 2^40 - 1.
pub const TOTAL_MAX: u64 = 1_000_000_000;
/// The maximum number of live orders of a customer, limited by the type of the Postgres column.
pub const ORDERS_PER_CUSTOMER_MAX: u32 = i32::MAX as u32;
/// The longest hold: 30 days, in seconds.
pub const HOLD_SECONDS_MAX: u32 = 30 * 24 * 3600;

/// The terms of a sale, which an operator defines (`PUT /admin/v1/sales/{sale}`) and by which gateways sell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SaleTerms {
    /// The title, for people.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub title: String,
    /// The currency of all amounts in the sale; it cannot change once the sale has left draft.
    pub currency: Currency,
    /// When the sale starts to accept orders (Redis TIME); `null`: from the beginning.
    #[serde(default)]
    pub opens_at: Option<Timestamp>,
    /// When the sale stops accepting orders; `null`: until an operator closes it.
    #[serde(default)]
    pub closes_at: Option<Timestamp>,
    /// The maximum number of live orders of a customer; `null`: unlimited.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = ORDERS_PER_CUSTOMER_MAX)))]
    #[serde(default, deserialize_with = "whole_or_null")]
    pub max_orders_per_customer: Option<u32>,
    /// How long units are held for an unpaid order, in seconds.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = HOLD_SECONDS_MAX)))]
    #[serde(default = "default_hold_seconds", deserialize_with = "whole")]
    pub hold_seconds: u32,
    /// The delivery fee in the minor unit, charged below `free_delivery_from`.
    #[cfg_attr(feature = "schema", schemars(range(max = PRICE_MAX)))]
    #[serde(default, deserialize_with = "whole")]
    pub delivery_fee: u64,
    /// The discounted subtotal from which delivery is free, in the minor unit; `null`: the fee is always charged.
    #[cfg_attr(feature = "schema", schemars(range(max = PRICE_MAX)))]
    #[serde(default, deserialize_with = "whole_or_null")]
    pub free_delivery_from: Option<u64>,
    /// The discount policies. At most one applies to an order: the one that the customer selects.
    #[cfg_attr(feature = "schema", schemars(length(max = POLICIES_MAX)))]
    #[serde(default)]
    pub discount_policies: Vec<DiscountPolicy>,
    /// The items on sale. A SKU appears at most once.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = ITEMS_MAX)))]
    pub items: Vec<Item>,
}

fn default_hold_seconds() -> u32 {
    3600
}

/// A SKU that is offered at a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The SKU.
    pub sku: Sku,
    /// The name, for people.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub name: String,
    /// The price of one unit, in the minor unit.
    #[cfg_attr(feature = "schema", schemars(range(max = PRICE_MAX)))]
    #[serde(deserialize_with = "whole")]
    pub price: u64,
    /// The number of units to sell; `null`: unlimited.
    #[cfg_attr(feature = "schema", schemars(range(max = TOTAL_MAX)))]
    #[serde(default, deserialize_with = "whole_or_null")]
    pub total: Option<u64>,
    /// The maximum number of units in one order.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = QUANTITY_MAX)))]
    #[serde(default = "default_max_quantity", deserialize_with = "whole")]
    pub max_quantity_per_order: u32,
}

fn default_max_quantity() -> u32 {
    10
}

/// A discount that the customer may select by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DiscountPolicy {
    /// The id by which customers select the policy.
    pub id: PolicyId,
    /// How `value` is applied.
    pub kind: DiscountKind,
    /// A percentage (1 to 100) or an amount in the minor unit.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = PRICE_MAX)))]
    #[serde(deserialize_with = "whole")]
    pub value: u64,
    /// The subtotal below which there is no discount, in the minor unit.
    #[cfg_attr(feature = "schema", schemars(range(max = PRICE_MAX)))]
    #[serde(default, deserialize_with = "whole")]
    pub min_total: u64,
    /// The maximum discount, in the minor unit; `null`: unlimited.
    #[cfg_attr(feature = "schema", schemars(range(max = PRICE_MAX)))]
    #[serde(default, deserialize_with = "whole_or_null")]
    pub max_discount: Option<u64>,
}

/// How a discount is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DiscountKind {
    /// A percentage of the subtotal, rounded down.
    Percent,
    /// An amount in the minor unit.
    Amount,
}

/// The state of a sale, set by an operator. Whether Redis is ready for the sale is independent of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SaleState {
    /// Invisible to customers and freely changeable.
    Draft,
    /// Accepts orders while it is ready and in its window.
    Open,
    /// Refuses orders until it is resumed.
    Paused,
    /// Refuses orders permanently.
    Closed,
}

impl SaleState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Open, Self::Paused, Self::Closed];
    /// Returns the name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Closed => "closed",
        }
    }
    /// Returns the state with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The error for invalid terms. Its text explains what an operator must correct.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct InvalidTerms {
    /// The field, with an index if it is in a list.
    pub field: String,
    /// What is wrong, or which values are allowed.
    pub why: String,
}

/// The faults of some terms.
#[derive(Default)]
struct Faults(Vec<InvalidTerms>);

/// Returns whether a text satisfies [`TEXT_RULE`].
pub(crate) fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control)
}

impl Faults {
    fn add(&mut self, field: impl Into<String>, why: impl Into<String>) {
        self.0.push(InvalidTerms { field: field.into(), why: why.into() });
    }

    fn check_text(&mut self, field: &str, text: &str) {
        if !is_text(text) {
            self.add(field, TEXT_RULE);
        }
    }

    fn check_amount(&mut self, field: &str, amount: u64) {
        if amount > PRICE_MAX {
            self.add(field, format!("at most {PRICE_MAX}"));
        }
    }
}

impl SaleTerms {
    /// Checks the terms before a sale is stored. Returns the first fault.
    pub fn validate(&self) -> Result<(), InvalidTerms> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns all faults that must be corrected before the sale can be stored.
    pub fn faults(&self) -> Vec<InvalidTerms> {
        let mut faults = Faults::default();
        faults.check_text("title", &self.title);
        if let (Some(opens), Some(closes)) = (self.opens_at, self.closes_at)
            && closes <= opens
        {
            faults.add("closes_at", "must be later than opens_at");
        }
        if self.max_orders_per_customer.is_some_and(|n| n == 0 || n > ORDERS_PER_CUSTOMER_MAX) {
            let why = format!("1 to {ORDERS_PER_CUSTOMER_MAX}, or null for no limit");
            faults.add("max_orders_per_customer", why);
        }
        if self.hold_seconds == 0 || self.hold_seconds > HOLD_SECONDS_MAX {
            faults.add("hold_seconds", format!("1 to {HOLD_SECONDS_MAX}"));
        }
        faults.check_amount("delivery_fee", self.delivery_fee);
        faults.check_amount("free_delivery_from", self.free_delivery_from.unwrap_or(0));
        self.check_policies(&mut faults);
        self.check_items(&mut faults);
        faults.0
    }

    fn check_policies(&self, faults: &mut Faults) {
        if self.discount_policies.len() > POLICIES_MAX {
            return faults.add("discount_policies", format!("at most {POLICIES_MAX}"));
        }
        let mut seen = HashSet::new();
        for (i, policy) in self.discount_policies.iter().enumerate() {
            let field = |name: &str| format!("discount_policies[{i}].{name}");
            if !seen.insert(&policy.id) {
                faults.add(field("id"), "is already used in this sale");
            }
            if policy.value == 0 || (policy.kind == DiscountKind::Percent && policy.value > 100) {
                faults.add(field("value"), "1 to 100 percent, or an amount above 0");
            }
            faults.check_amount(&field("value"), policy.value);
            faults.check_amount(&field("min_total"), policy.min_total);
            faults.check_amount(&field("max_discount"), policy.max_discount.unwrap_or(0));
        }
    }

    fn check_items(&self, faults: &mut Faults) {
        if self.items.is_empty() || self.items.len() > ITEMS_MAX {
            return faults.add("items", format!("1 to {ITEMS_MAX}"));
        }
        let mut seen = HashSet::new();
        for (i, item) in self.items.iter().enumerate() {
            let field = |name: &str| format!("items[{i}].{name}");
            if !seen.insert(&item.sku) {
                faults.add(field("sku"), "is already offered in this sale");
            }
            faults.check_text(&field("name"), &item.name);
            faults.check_amount(&field("price"), item.price);
            if item.total.is_some_and(|total| total > TOTAL_MAX) {
                faults.add(field("total"), format!("at most {TOTAL_MAX}, or null for unlimited"));
            }
            if item.max_quantity_per_order == 0 || item.max_quantity_per_order > QUANTITY_MAX {
                faults.add(field("max_quantity_per_order"), format!("1 to {QUANTITY_MAX}"));
            }
        }
    }

    /// Returns the item with this SKU.
    pub fn item(&self, sku: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.sku.as_str() == sku)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(json: serde_json::Value) -> Result<(), String> {
        let mut whole = serde_json::json!({
            "title": "T", "currency": "KRW",
            "items": [{"sku": "A", "name": "A", "price": 1, "total": 5}],
        });
        whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        let terms: SaleTerms = serde_json::from_value(whole).map_err(|e| e.to_string())?;
        terms.validate().map_err(|e| e.to_string())
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let terms: SaleTerms = serde_json::from_value(serde_json::json!({
            "title": "", "currency": "KRW", "hold_seconds": 0,
            "items": [{"sku": "A", "name": "A", "price": 1}, {"sku": "A", "name": "", "price": 1}],
        }))
        .unwrap();
        let fields: Vec<_> = terms.faults().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["title", "hold_seconds", "items[1].sku", "items[1].name"]);
    }

    #[test]
    fn terms_are_checked_field_by_field() {
        assert_eq!(terms(serde_json::json!({})), Ok(()));
        for (bad, field) in [
            (serde_json::json!({"title": " "}), "title"),
            (serde_json::json!({"currency": "won"}), "currency"),
            (
                serde_json::json!({"opens_at": "2026-01-02T00:00:00Z", "closes_at": "2026-01-01T00:00:00Z"}),
                "closes_at",
            ),
            (serde_json::json!({"max_orders_per_customer": 0}), "max_orders_per_customer"),
            (serde_json::json!({"hold_seconds": 0}), "hold_seconds"),
            (serde_json::json!({"items": []}), "items"),
            (serde_json::json!({"surprise": 1}), "surprise"),
            (
                serde_json::json!({"discount_policies": [{"id": "p", "kind": "percent", "value": 101}]}),
                "discount_policies[0].value",
            ),
        ] {
            let error = terms(bad).unwrap_err();
            assert!(error.contains(field), "{error} should name {field}");
        }
    }
}

//! Order requests, their validation and their price. Prices come only from the sale's terms.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{
    CustomerId, IdempotencyKey, OrderId, PolicyId, RequestDigest, RequestFingerprint, SaleId, Sku,
};
use crate::money::AMOUNT_MAX;
use crate::number::{whole, whole_or_null};
use crate::sale::{DiscountKind, DiscountPolicy, QUANTITY_MAX, SaleTerms, TEXT_RULE, is_text};
use crate::timestamp::Timestamp;
use crate::wire;

/// The maximum number of lines in one order.
pub const LINES_MAX: usize = 50;

/// The body of `POST /v1/sales/{sale}/orders`. Decoding checks types only; [`OrderRequest::price`] checks values.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// The requested lines. A SKU appears at most once.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = LINES_MAX)))]
    pub items: Vec<RequestedLine>,
    /// The discount policy to apply, one of the sale's policies.
    #[cfg_attr(feature = "schema", schemars(with = "Option<PolicyId>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_policy_id: Option<String>,
    /// The final total that the customer saw, in the minor unit. An order with another total is refused.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = AMOUNT_MAX)))]
    #[serde(default, deserialize_with = "whole_or_null", skip_serializing_if = "Option::is_none")]
    pub expected_total: Option<i64>,
    /// How the goods reach the customer; defaults to `ship`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilment: Option<Fulfilment>,
    /// The address that the goods are shipped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// Requests the payment together with the order; absent if the customer pays later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentRequest>,
}

/// One line of an order request.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestedLine {
    /// The requested SKU.
    #[cfg_attr(feature = "schema", schemars(with = "Sku"))]
    pub sku: String,
    /// The number of units. The item's `max_quantity_per_order` may allow fewer.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = QUANTITY_MAX)))]
    #[serde(deserialize_with = "whole")]
    pub quantity: i64,
}

/// How the goods reach the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fulfilment {
    /// Shipped to the address.
    Ship,
    /// Stored in the warehouse until the customer collects them.
    Store,
}

impl Fulfilment {
    /// Returns the name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ship => "ship",
            Self::Store => "store",
        }
    }

    /// Parses the name on the wire and in Postgres.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Ship, Self::Store].into_iter().find(|fulfilment| fulfilment.as_str() == name)
    }
}

/// The shipping address of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The recipient's name.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub name: String,
    /// Street and number.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub line1: String,
    /// A second line of the street address.
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Text>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// The city.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub city: String,
    /// The postal code.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub postal_code: String,
    /// The country, for example `KR`.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub country: String,
    /// A phone number for the courier.
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Text>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// How the customer pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PaymentRequest {
    /// The payment method.
    pub method: PaymentMethod,
    /// The payment provider's token for a card.
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Text>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl PaymentRequest {
    /// Checks the values. `field` is the name of the token's field, for the error message.
    pub fn check(&self, field: &str) -> Result<(), OrderRefusal> {
        self.token.as_deref().map_or(Ok(()), |token| check_text(field, token))
    }
}

/// How an order is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// By card, through the payment provider.
    Card,
    /// From the balance of the customer's wallet.
    Wallet,
}

/// One line of an order, with its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The SKU that is bought.
    pub sku: Sku,
    /// The number of units, at least 1.
    pub quantity: u32,
    /// The price of one unit, in the minor unit.
    pub unit_price: u64,
}

// On the wire a line is the array `["sku", quantity, unit_price]`, which is short because orders are copied often.
impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.sku, self.quantity, self.unit_price).serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (sku, quantity, unit_price) = Deserialize::deserialize(deserializer)?;
        Ok(Self { sku, quantity, unit_price })
    }
}

/// The amounts of an order, in the minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// The sum of the lines.
    pub subtotal: u64,
    /// The discount, at most the subtotal.
    pub discount: u64,
    /// The delivery fee, added after the discount.
    pub delivery_fee: u64,
}

impl Amounts {
    /// Returns the amount that the customer pays.
    pub fn total(&self) -> u64 {
        self.subtotal - self.discount + self.delivery_fee
    }
}

/// A valid, priced order, for which the scripts reserve stock and which the log records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The order's id.
    pub id: OrderId,
    /// The customer who placed the order.
    pub customer: CustomerId,
    /// The email address for notifications (JWT `email`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Arc<str>>,
    /// The Idempotency-Key of the request.
    pub key: IdempotencyKey,
    /// The digest of the decoded request body.
    pub digest: RequestDigest,
    /// The ordered lines.
    pub lines: Vec<Line>,
    /// The discount policy that was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyId>,
    /// The discount, in the minor unit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discount: u64,
    /// The delivery fee, in the minor unit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivery_fee: u64,
    /// How long the units are held while the order is unpaid, in seconds.
    pub hold_seconds: u32,
    /// How the goods reach the customer; absent means `ship`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilment: Option<Fulfilment>,
    /// The shipping address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Box<Address>>,
    /// The payment that was requested with the order, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Box<PaymentRequest>>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Order {
    /// Creates an order with default values: no discount, no fee, shipped, paid later, held for an hour. Callers
    /// override fields with `Order { …, ..Order::plain(…) }`.
    pub fn plain(
        sale: &SaleId,
        customer: CustomerId,
        key: IdempotencyKey,
        at: Timestamp,
        lines: impl IntoIterator<Item = Line>,
    ) -> Self {
        Self {
            id: OrderId::new(at.0, 0, RequestFingerprint::compute(sale, &customer, &key)),
            customer,
            email: None,
            key,
            digest: RequestDigest::compute(b""),
            lines: lines.into_iter().collect(),
            policy: None,
            discount: 0,
            delivery_fee: 0,
            hold_seconds: 3600,
            fulfilment: None,
            address: None,
            payment: None,
        }
    }

    /// Returns the amounts of the order.
    pub fn amounts(&self) -> Amounts {
        let subtotal = self.lines.iter().map(|line| u64::from(line.quantity) * line.unit_price).sum();
        Amounts { subtotal, discount: self.discount, delivery_fee: self.delivery_fee }
    }
}

/// The reason why a well-formed request cannot become an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// A value is out of range in every sale.
    #[error("{0}")]
    Invalid(String),
    /// The sale's terms do not allow a value.
    #[error("{0}")]
    NotAllowed(String),
    /// The sale does not offer this SKU.
    #[error("This sale does not offer {0}.")]
    UnknownSku(Sku),
    /// The total differs from `expected_total`.
    #[error("The total is {total}, not what you expected.")]
    TotalMismatch {
        /// The actual total, in the minor unit.
        total: u64,
    },
}

impl OrderRefusal {
    /// Returns whether other terms might allow the request: the sale's terms may have changed since it was accepted.
    pub fn depends_on_terms(&self) -> bool {
        !matches!(self, Self::Invalid(_))
    }
}

/// A request with valid values and a known price.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of `Order`
pub struct PricedRequest {
    pub lines: Vec<Line>,
    pub policy: Option<PolicyId>,
    pub amounts: Amounts,
    pub fulfilment: Option<Fulfilment>,
    pub address: Option<Box<Address>>,
    pub payment: Option<Box<PaymentRequest>>,
}

impl OrderRequest {
    /// Computes the digest of the decoded request. It does not depend on white space or the order of members.
    pub fn digest(&self) -> RequestDigest {
        RequestDigest::compute(&wire::encode(self))
    }

    /// Checks the values and computes the price by the sale's terms.
    pub fn price(&self, terms: &SaleTerms) -> Result<PricedRequest, OrderRefusal> {
        // Check all values first: `invalid_order` has precedence over `unknown_sku`, and that over `total_mismatch`.
        check_lines(&self.items, terms)?;
        let policy = self.discount_policy_id.as_deref().map(|id| find_policy(id, terms)).transpose()?;
        if let Some(address) = &self.shipping_address {
            check_address(address)?;
        }
        if let Some(payment) = &self.payment {
            payment.check("payment.token")?;
        }
        let expected = self.expected_total.map(|total| {
            u64::try_from(total)
                .map_err(|_| OrderRefusal::Invalid("expected_total must not be negative.".into()))
        });
        let expected = expected.transpose()?;
        let lines = priced_lines(&self.items, terms)?;
        let amounts = price(&lines, policy, terms)
            .ok_or_else(|| OrderRefusal::NotAllowed("The order's total is too large.".into()))?;
        if let Some(expected) = expected
            && expected != amounts.total()
        {
            return Err(OrderRefusal::TotalMismatch { total: amounts.total() });
        }
        Ok(PricedRequest {
            lines,
            policy: policy.map(|policy| policy.id.clone()),
            amounts,
            fulfilment: self.fulfilment.filter(|fulfilment| *fulfilment != Fulfilment::Ship),
            address: self.shipping_address.clone().map(Box::new),
            payment: self.payment.clone().map(Box::new),
        })
    }
}

/// Checks the values of the lines. It does not check whether the sale offers their SKUs.
fn check_lines(items: &[RequestedLine], terms: &SaleTerms) -> Result<(), OrderRefusal> {
    if items.is_empty() || items.len() > LINES_MAX {
        return Err(OrderRefusal::Invalid(format!("An order must have 1 to {LINES_MAX} lines.")));
    }
    let mut seen = HashSet::with_capacity(items.len());
    for line in items {
        if Sku::parse(&line.sku).is_err() {
            return Err(OrderRefusal::Invalid(
                "A SKU must have 1 to 64 characters of A-Z a-z 0-9 . _ -".into(),
            ));
        }
        if !(1..=i64::from(QUANTITY_MAX)).contains(&line.quantity) {
            return Err(OrderRefusal::Invalid(format!("A quantity must be 1 to {QUANTITY_MAX}.")));
        }
        if !seen.insert(line.sku.as_str()) {
            return Err(OrderRefusal::Invalid(format!("{} is in the order twice.", line.sku)));
        }
        if let Some(item) = terms.item(&line.sku)
            && line.quantity > i64::from(item.max_quantity_per_order)
        {
            let (most, sku) = (item.max_quantity_per_order, &item.sku);
            return Err(OrderRefusal::NotAllowed(format!(
                "An order may contain at most {most} units of {sku}."
            )));
        }
    }
    Ok(())
}

/// Returns the lines with the sale's prices. The caller has checked their values.
fn priced_lines(items: &[RequestedLine], terms: &SaleTerms) -> Result<Vec<Line>, OrderRefusal> {
    let priced = |line: &RequestedLine| {
        let item = terms.item(&line.sku).ok_or_else(|| match Sku::parse(&line.sku) {
            Ok(sku) => OrderRefusal::UnknownSku(sku),
            Err(error) => OrderRefusal::Invalid(error.to_string()),
        })?;
        let quantity = line.quantity as u32; // at most QUANTITY_MAX
        Ok(Line { sku: item.sku.clone(), quantity, unit_price: item.price })
    };
    items.iter().map(priced).collect()
}

fn find_policy<'a>(id: &str, terms: &'a SaleTerms) -> Result<&'a DiscountPolicy, OrderRefusal> {
    let found = terms.discount_policies.iter().find(|policy| policy.id.as_str() == id);
    found.ok_or_else(|| OrderRefusal::NotAllowed("This sale does not have the discount policy.".into()))
}

/// Computes the amounts of an order. The discount rounds down and never exceeds the subtotal; the delivery fee's
/// threshold applies to the discounted subtotal. Returns `None` if an amount exceeds [`AMOUNT_MAX`].
pub fn price(lines: &[Line], policy: Option<&DiscountPolicy>, terms: &SaleTerms) -> Option<Amounts> {
    let subtotal = lines.iter().try_fold(0u64, |sum, line| {
        sum.checked_add(line.unit_price.checked_mul(u64::from(line.quantity))?)
    })?;
    let discount = match policy {
        Some(policy) if subtotal >= policy.min_total => {
            let amount = match policy.kind {
                DiscountKind::Percent => u128::from(subtotal) * u128::from(policy.value) / 100,
                DiscountKind::Amount => policy.value.into(),
            };
            let most = policy.max_discount.unwrap_or(subtotal).min(subtotal);
            amount.min(most.into()) as u64
        }
        _ => 0,
    };
    let free = terms.free_delivery_from.is_some_and(|from| subtotal - discount >= from);
    let delivery_fee = if free { 0 } else { terms.delivery_fee };
    let total = (subtotal - discount).checked_add(delivery_fee)?;
    (subtotal <= AMOUNT_MAX && total <= AMOUNT_MAX).then_some(Amounts { subtotal, discount, delivery_fee })
}

fn check_address(address: &Address) -> Result<(), OrderRefusal> {
    let required = [
        ("name", &address.name),
        ("line1", &address.line1),
        ("city", &address.city),
        ("postal_code", &address.postal_code),
        ("country", &address.country),
    ];
    for (field, text) in required {
        check_text(&format!("shipping_address.{field}"), text)?;
    }
    for (field, text) in [("line2", &address.line2), ("phone", &address.phone)] {
        if let Some(text) = text {
            check_text(&format!("shipping_address.{field}"), text)?;
        }
    }
    Ok(())
}

fn check_text(field: &str, text: &str) -> Result<(), OrderRefusal> {
    if is_text(text) { Ok(()) } else { Err(OrderRefusal::Invalid(format!("{field} must have {TEXT_RULE}."))) }
}

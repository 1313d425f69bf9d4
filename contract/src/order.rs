//! What a customer asks for, and what it costs. Prices come from the sale's terms alone.

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

/// Most lines in one order.
pub const LINES_MAX: usize = 50;

/// The body of `POST /v1/sales/{sale}/orders`: shape only, values unchecked.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// What and how many: each SKU once.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = LINES_MAX)))]
    pub items: Vec<RequestedLine>,
    /// The discount asked for: one of the sale's policies.
    #[cfg_attr(feature = "schema", schemars(with = "Option<PolicyId>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_policy_id: Option<String>,
    /// The final total that the customer saw, in the minor unit; where the order costs something else it is refused.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = AMOUNT_MAX)))]
    #[serde(default, deserialize_with = "whole_or_null", skip_serializing_if = "Option::is_none")]
    pub expected_total: Option<i64>,
    /// How the goods reach the customer; `ship` unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilment: Option<Fulfilment>,
    /// Where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// Pay at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentRequest>,
}

/// One line as asked for.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestedLine {
    /// What.
    #[cfg_attr(feature = "schema", schemars(with = "Sku"))]
    pub sku: String,
    /// How many. The item may allow fewer: `max_quantity_per_order`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = QUANTITY_MAX)))]
    #[serde(deserialize_with = "whole")]
    pub quantity: i64,
}

/// How the goods reach the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fulfilment {
    /// Sent to the address.
    Ship,
    /// Kept in the warehouse until handed over.
    Store,
}

impl Fulfilment {
    /// The name on the wire and in Postgres.
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

/// Where an order is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Who receives the goods.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub name: String,
    /// Street and number.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub line1: String,
    /// Further lines.
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Text>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// The city.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub city: String,
    /// The postal code.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub postal_code: String,
    /// The country, such as `KR`.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Text"))]
    pub country: String,
    /// For the courier.
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Text>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// How the customer pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PaymentRequest {
    /// By what.
    pub method: PaymentMethod,
    /// The provider's token for a card.
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Text>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl PaymentRequest {
    /// Checks the values. `field`: what the token is called where it was given.
    pub fn check(&self, field: &str) -> Result<(), OrderRefusal> {
        self.token.as_deref().map_or(Ok(()), |token| check_text(field, token))
    }
}

/// By what an order is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// By the card provider.
    Card,
    /// From the customer's balance.
    Wallet,
}

/// One line with its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// How many, at least 1.
    pub quantity: u32,
    /// For one, in the minor unit.
    pub unit_price: u64,
}

// On the wire a line is `["sku", quantity, unit_price]`: orders are copied many times.
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

/// What an order costs, in the minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// Sum of the lines.
    pub subtotal: u64,
    /// At most the subtotal.
    pub discount: u64,
    /// Added after the discount.
    pub delivery_fee: u64,
}

impl Amounts {
    /// What the customer pays.
    pub fn total(&self) -> u64 {
        self.subtotal - self.discount + self.delivery_fee
    }
}

/// A valid order with its price: what the scripts take stock for and the log records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Whose.
    pub customer: CustomerId,
    /// For messages to the customer (JWT `email`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Arc<str>>,
    /// The client's name for the request.
    pub key: IdempotencyKey,
    /// Of the decoded body.
    pub digest: RequestDigest,
    /// What is bought.
    pub lines: Vec<Line>,
    /// The discount asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyId>,
    /// In the minor unit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discount: u64,
    /// In the minor unit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivery_fee: u64,
    /// How long the units are held while unpaid.
    pub hold_seconds: u32,
    /// `ship` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilment: Option<Fulfilment>,
    /// Where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Box<Address>>,
    /// Pay at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Box<PaymentRequest>>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Order {
    /// The plainest order of these lines: nothing off, no fee, shipped, paid later, held for an hour. What is
    /// to be otherwise is said before `..Order::plain(…)`.
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

    /// What it costs.
    pub fn amounts(&self) -> Amounts {
        let subtotal = self.lines.iter().map(|line| u64::from(line.quantity) * line.unit_price).sum();
        Amounts { subtotal, discount: self.discount, delivery_fee: self.delivery_fee }
    }
}

/// Why a well-formed request cannot become an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// A value out of its bounds.
    #[error("{0}")]
    Invalid(String),
    /// A SKU that the sale does not offer.
    #[error("This sale does not offer {0}.")]
    UnknownSku(Sku),
    /// The customer expected another total.
    #[error("The total is {total}, not what you expected.")]
    TotalMismatch {
        /// What it would cost.
        total: u64,
    },
}

/// A request whose values are good and whose price is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // as in `Order`
pub struct PricedRequest {
    pub lines: Vec<Line>,
    pub policy: Option<PolicyId>,
    pub amounts: Amounts,
    pub fulfilment: Option<Fulfilment>,
    pub address: Option<Box<Address>>,
    pub payment: Option<Box<PaymentRequest>>,
}

impl OrderRequest {
    /// The fingerprint of what was asked, whatever the order of members and the white space were.
    pub fn digest(&self) -> RequestDigest {
        // A struct of strings and integers always serializes.
        RequestDigest::compute(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Checks the values and prices the order by the sale's terms.
    pub fn price(&self, terms: &SaleTerms) -> Result<PricedRequest, OrderRefusal> {
        // Every value first: `invalid_order` goes before `unknown_sku`, and that before `total_mismatch`.
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
            .ok_or_else(|| OrderRefusal::Invalid("The order's total is too large.".into()))?;
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

/// The values of the lines; a SKU that the sale does not offer is none of them.
fn check_lines(items: &[RequestedLine], terms: &SaleTerms) -> Result<(), OrderRefusal> {
    if items.is_empty() || items.len() > LINES_MAX {
        return Err(OrderRefusal::Invalid(format!("An order has 1 to {LINES_MAX} lines.")));
    }
    let mut seen = HashSet::with_capacity(items.len());
    for line in items {
        if Sku::parse(&line.sku).is_err() {
            return Err(OrderRefusal::Invalid("A SKU has 1 to 64 characters of A-Z a-z 0-9 . _ -".into()));
        }
        if !(1..=i64::from(QUANTITY_MAX)).contains(&line.quantity) {
            return Err(OrderRefusal::Invalid(format!("A quantity is 1 to {QUANTITY_MAX}.")));
        }
        if !seen.insert(line.sku.as_str()) {
            return Err(OrderRefusal::Invalid(format!("{} is in the order twice.", line.sku)));
        }
        if let Some(item) = terms.item(&line.sku)
            && line.quantity > i64::from(item.max_quantity_per_order)
        {
            let (most, sku) = (item.max_quantity_per_order, &item.sku);
            return Err(OrderRefusal::Invalid(format!("At most {most} of {sku} in one order.")));
        }
    }
    Ok(())
}

/// The lines at the sale's prices. Their values have been checked.
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
    found.ok_or_else(|| OrderRefusal::Invalid("This sale has no such discount policy.".into()))
}

/// The discount rounds down and never exceeds the subtotal; the fee's threshold is tested after it.
/// `None`: more than [`AMOUNT_MAX`].
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
    if is_text(text) { Ok(()) } else { Err(OrderRefusal::Invalid(format!("{field} has {TEXT_RULE}."))) }
}

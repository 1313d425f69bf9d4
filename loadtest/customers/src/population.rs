//! The customers of a burst: who arrives, what they order, and how they misbehave. Pure and repeatable: the
//! same seed generates the same customers.

use contract::order::{OrderRequest, RequestedLine};
use contract::problem::Code;
use fastrand::Rng;

use crate::request;
use crate::sales::BURST_POLICY;

/// How a customer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Persona {
    /// Sends one order request.
    Plain,
    /// Sends the same request twice at the same time.
    Doubled,
    /// Sends the same request again after the burst.
    Repeated,
    /// Uses the same key again for another order.
    OtherBody,
    /// Orders again with another key.
    SecondOrder,
    /// Closes the connection right after sending, then retries.
    HungUp,
    /// Closes the connection right after sending and never retries. [`generate`] creates none of these; the
    /// chaos scenarios do.
    Gone,
    /// Sends something that is not a valid order.
    Malformed(Malformation),
}

impl Persona {
    /// Returns the description for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "one order",
            Self::Doubled => "the same request twice at once",
            Self::Repeated => "the same request again after the burst",
            Self::OtherBody => "the same key for another order",
            Self::SecondOrder => "a second order",
            Self::HungUp => "connection closed after sending, then retried",
            Self::Gone => "connection closed after sending, never retried",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// What is wrong with a malformed request, and how it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the description
pub enum Malformation {
    BrokenJson,
    UnknownField,
    WrongType,
    NoKey,
    NotSignedIn,
    WrongMediaType,
    NoLines,
    RepeatedSku,
    ZeroQuantity,
    UnknownSku,
    WrongTotal,
}

impl Malformation {
    /// Every malformation, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::BrokenJson,
        Self::UnknownField,
        Self::WrongType,
        Self::NoKey,
        Self::NotSignedIn,
        Self::WrongMediaType,
        Self::NoLines,
        Self::RepeatedSku,
        Self::ZeroQuantity,
        Self::UnknownSku,
        Self::WrongTotal,
    ];

    /// Returns the error code that the interface promises for it.
    pub fn code(self) -> Code {
        match self {
            Self::BrokenJson | Self::UnknownField | Self::WrongType | Self::NoKey => Code::MalformedRequest,
            Self::NotSignedIn => Code::Unauthenticated,
            Self::WrongMediaType => Code::UnsupportedMediaType,
            Self::NoLines | Self::RepeatedSku | Self::ZeroQuantity => Code::InvalidOrder,
            Self::UnknownSku => Code::UnknownSku,
            Self::WrongTotal => Code::TotalMismatch,
        }
    }

    /// Returns a body with this fault, or a valid body when the fault lies in the headers.
    pub fn body(self, sku: &str) -> String {
        let line = |sku: &str, quantity: i64| format!(r#"{{"sku":"{sku}","quantity":{quantity}}}"#);
        let good = line(sku, 1);
        match self {
            Self::BrokenJson => r#"{"items":[{"sku":"#.to_owned(),
            Self::UnknownField => format!(r#"{{"items":[{good}],"gift":true}}"#),
            Self::WrongType => format!(r#"{{"items":[{{"sku":"{sku}","quantity":"one"}}]}}"#),
            Self::NoLines => r#"{"items":[]}"#.to_owned(),
            Self::RepeatedSku => format!(r#"{{"items":[{good},{good}]}}"#),
            Self::ZeroQuantity => format!(r#"{{"items":[{}]}}"#, line(sku, 0)),
            Self::UnknownSku => format!(r#"{{"items":[{}]}}"#, line("NO-SUCH-THING", 1)),
            Self::WrongTotal => format!(r#"{{"items":[{good}],"expected_total":1}}"#),
            Self::NoKey | Self::NotSignedIn | Self::WrongMediaType => format!(r#"{{"items":[{good}]}}"#),
        }
    }
}

/// A customer of a burst.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The customer's id, unique in the sale.
    pub name: String,
    /// The Idempotency-Key of the first order.
    pub key: String,
    /// The order; a malformed request takes only its SKU.
    pub order: OrderRequest,
    /// How the customer behaves.
    pub persona: Persona,
    /// The number of the gateway that the customer tries first.
    pub gateway: usize,
}

/// Generates `count` customers for a sale of two items, in the order in which they arrive.
pub fn generate(count: u64, skus: [&str; 2], seed: u64) -> Vec<Customer> {
    let mut rng = Rng::with_seed(seed);
    (0..count)
        .map(|n| {
            let persona = match rng.u32(0..1000) {
                0..80 => Persona::Doubled,
                80..140 => Persona::Repeated,
                140..180 => Persona::OtherBody,
                180..210 => Persona::SecondOrder,
                210..250 => Persona::HungUp,
                250..290 => Persona::Malformed(Malformation::ALL[rng.usize(0..Malformation::ALL.len())]),
                _ => Persona::Plain,
            };
            Customer {
                name: format!("customer-{n:05}"),
                key: format!("order-{n:05}"),
                order: random_order(&mut rng, skus),
                persona,
                gateway: n as usize,
            }
        })
        .collect()
}

/// Returns an order: mostly one unit of one item; sometimes two units, both items, or the discount.
fn random_order(rng: &mut Rng, [first, second]: [&str; 2]) -> OrderRequest {
    let lines: &[(&str, i64)] = match rng.u32(0..10) {
        0..5 => &[(first, 1)],
        5..8 => &[(second, 1)],
        8 => &[(first, 2)],
        _ => &[(first, 1), (second, 1)],
    };
    let mut order = request::order_with_lines(lines);
    if rng.u32(0..5) == 0 {
        order.discount_policy_id = Some(BURST_POLICY.to_owned());
    }
    order
}

/// Returns the same order with one more unit of each line, which is a different body.
pub fn with_one_more_unit(order: &OrderRequest) -> OrderRequest {
    let items = order.items.iter();
    OrderRequest {
        items: items
            .map(|line| RequestedLine { sku: line.sku.clone(), quantity: line.quantity + 1 })
            .collect(),
        ..order.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sales;
    use contract::order::OrderRefusal;
    use std::collections::HashMap;

    #[test]
    fn a_population_is_repeatable_and_every_persona_appears_early() {
        let (one, two) = (generate(20_000, ["A", "B"], 7), generate(20_000, ["A", "B"], 7));
        assert!(
            one.iter().zip(&two).all(|(a, b)| a.persona == b.persona && a.order.digest() == b.order.digest())
        );
        let mut early: HashMap<_, u32> = HashMap::new();
        // While there is stock, which is for about 4,000 orders.
        one[..3000].iter().for_each(|customer| *early.entry(customer.persona.as_str()).or_default() += 1);
        assert_eq!(early.len(), 7);
        assert!(early.values().all(|count| *count >= 50), "{early:?}");
    }

    #[test]
    fn valid_orders_are_valid_and_malformed_ones_have_the_named_fault() {
        let terms = sales::burst(5000);
        for customer in generate(500, ["SHIRT", "POSTER"], 1) {
            customer.order.clone().price(&terms).unwrap();
            with_one_more_unit(&customer.order).price(&terms).unwrap();
            assert_ne!(with_one_more_unit(&customer.order).digest(), customer.order.digest());
        }
        for fault in Malformation::ALL {
            let parsed = serde_json::from_str::<OrderRequest>(&fault.body("SHIRT"));
            let code = match parsed {
                Err(_) => Some(Code::MalformedRequest),
                Ok(order) => match order.price(&terms) {
                    Err(OrderRefusal::Invalid(_) | OrderRefusal::NotAllowed(_)) => Some(Code::InvalidOrder),
                    Err(OrderRefusal::UnknownSku(_)) => Some(Code::UnknownSku),
                    Err(OrderRefusal::TotalMismatch { .. }) => Some(Code::TotalMismatch),
                    Ok(_) => None,
                },
            };
            let in_the_headers = matches!(
                fault,
                Malformation::NoKey | Malformation::NotSignedIn | Malformation::WrongMediaType
            );
            assert_eq!(code, (!in_the_headers).then(|| fault.code()), "{fault:?}");
        }
    }
}

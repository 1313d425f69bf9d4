//! The crowd of a burst: who comes, what they want, and how they misbehave. Pure and repeatable: the
//! same seed gives the same crowd.

use contract::order::{OrderRequest, RequestedLine};
use contract::problem::Code;

use crate::request;
use crate::sales::BURST_POLICY;

/// What a customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manner {
    /// Orders once.
    Plain,
    /// Sends the same request twice at the same time.
    Doubled,
    /// Sends the same request again after the burst.
    Repeated,
    /// Uses the key again for another order.
    OtherBody,
    /// Orders again, under another key.
    SecondOrder,
    /// Hangs up right after sending, then retries.
    HungUp,
    /// Hangs up right after sending, and never comes back. In no crowd by itself: scenarios make it so.
    Gone,
    /// Sends something that is not a valid order.
    Malformed(Malformation),
}

impl Manner {
    /// In the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "one order",
            Self::Doubled => "the same request twice at once",
            Self::Repeated => "the same request again after the burst",
            Self::OtherBody => "the same key for another order",
            Self::SecondOrder => "a second order",
            Self::HungUp => "hung up after sending, then retried",
            Self::Gone => "hung up after sending, for good",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// What is wrong with a malformed request, and how it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it
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
    /// All of them.
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

    /// The refusal that the interface promises.
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

    /// A body with this fault; a good one where the fault lies elsewhere.
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

/// One customer.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Unique in the sale.
    pub name: String,
    /// The Idempotency-Key of the first order.
    pub key: String,
    /// What they want; of no meaning for malformed requests.
    pub order: OrderRequest,
    /// What they do.
    pub manner: Manner,
    /// The gateway that they try first.
    pub gateway: usize,
}

/// A small generator of even numbers (Steele, Lea, Flood: splitmix64), so that a crowd can be repeated.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// From 0 to `sides` - 1.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }
}

/// So many customers for two items of a sale, in the order in which they come.
pub fn crowd(count: u64, skus: [&str; 2], seed: u64) -> Vec<Customer> {
    let mut dice = Dice::new(seed);
    (0..count)
        .map(|n| {
            let manner = match dice.roll(1000) {
                0..80 => Manner::Doubled,
                80..140 => Manner::Repeated,
                140..180 => Manner::OtherBody,
                180..210 => Manner::SecondOrder,
                210..250 => Manner::HungUp,
                250..290 => {
                    let kind = dice.roll(Malformation::ALL.len() as u64) as usize;
                    Manner::Malformed(Malformation::ALL[kind])
                }
                _ => Manner::Plain,
            };
            Customer {
                name: format!("customer-{n:05}"),
                key: format!("order-{n:05}"),
                order: wish(&mut dice, skus),
                manner,
                gateway: n as usize,
            }
        })
        .collect()
}

/// Mostly one of one thing; some two, some of both, some with the discount.
fn wish(dice: &mut Dice, [first, second]: [&str; 2]) -> OrderRequest {
    let lines: &[(&str, i64)] = match dice.roll(10) {
        0..5 => &[(first, 1)],
        5..8 => &[(second, 1)],
        8 => &[(first, 2)],
        _ => &[(first, 1), (second, 1)],
    };
    let mut order = request::body(lines);
    if dice.roll(5) == 0 {
        order.discount_policy_id = Some(BURST_POLICY.to_owned());
    }
    order
}

/// The same order with one unit more: another body.
pub fn another(order: &OrderRequest) -> OrderRequest {
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
    fn a_crowd_can_be_repeated_and_holds_every_manner_early() {
        let (one, two) = (crowd(20_000, ["A", "B"], 7), crowd(20_000, ["A", "B"], 7));
        assert!(
            one.iter().zip(&two).all(|(a, b)| a.manner == b.manner && a.order.digest() == b.order.digest())
        );
        let mut early: HashMap<_, u32> = HashMap::new();
        // While there is stock: some 4,000 orders.
        one[..3000].iter().for_each(|customer| *early.entry(customer.manner.as_str()).or_default() += 1);
        assert_eq!(early.len(), 7);
        assert!(early.values().all(|count| *count >= 50), "{early:?}");
    }

    #[test]
    fn valid_wishes_are_valid_and_faults_are_what_they_say() {
        let terms = sales::burst(5000);
        for customer in crowd(500, ["SHIRT", "POSTER"], 1) {
            customer.order.clone().price(&terms).unwrap();
            another(&customer.order).price(&terms).unwrap();
            assert_ne!(another(&customer.order).digest(), customer.order.digest());
        }
        for fault in Malformation::ALL {
            let parsed = serde_json::from_str::<OrderRequest>(&fault.body("SHIRT"));
            let code = match parsed {
                Err(_) => Some(Code::MalformedRequest),
                Ok(order) => match order.price(&terms) {
                    Err(OrderRefusal::Invalid(_)) => Some(Code::InvalidOrder),
                    Err(OrderRefusal::UnknownSku(_)) => Some(Code::UnknownSku),
                    Err(OrderRefusal::TotalMismatch { .. }) => Some(Code::TotalMismatch),
                    Ok(_) => None,
                },
            };
            let elsewhere = matches!(
                fault,
                Malformation::NoKey | Malformation::NotSignedIn | Malformation::WrongMediaType
            );
            assert_eq!(code, (!elsewhere).then(|| fault.code()), "{fault:?}");
        }
    }
}

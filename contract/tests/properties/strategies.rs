//! Strategies for values of the contract's types. The values are valid unless the name says otherwise.

use contract::ids::{IdempotencyKey, OrderId, RequestDigest, RequestFingerprint};
use contract::money::Currency;
use contract::order::{
    Address, Fulfilment, Line, Order, OrderRequest, PaymentMethod, PaymentRequest, RequestedLine,
};
use contract::sale::{
    DiscountKind, DiscountPolicy, HOLD_SECONDS_MAX, Item, PRICE_MAX, QUANTITY_MAX, SaleTerms, TOTAL_MAX,
};
use contract::timestamp::Timestamp;
use proptest::collection::vec;
use proptest::option::of as maybe;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::Value;

/// 9999-12-31T23:59:59.999Z, the latest timestamp that RFC 3339 can express.
const LAST_MS: u64 = 253_402_300_799_999;

pub(crate) fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,64}"
}

/// Generates visible ASCII, including quotes and backslashes.
pub(crate) fn visible(bytes_max: usize) -> impl Strategy<Value = String> {
    vec(0x21u8..=0x7e, 1..=bytes_max).prop_map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Generates a text that a person may type into an address.
fn text() -> impl Strategy<Value = String> {
    r#"[^\p{Cc}\s][^\p{Cc}]{0,20}"#.prop_filter("fits", |text| text.len() <= 200)
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0..=LAST_MS).prop_map(Timestamp)
}

/// Generates typical amounts and the ends of the range.
fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0u64..200_000, 1 => Just(0), 1 => PRICE_MAX - 5..=PRICE_MAX]
}

fn policy(id: usize) -> impl Strategy<Value = DiscountPolicy> {
    let kind_and_value = prop_oneof![
        (1u64..=100).prop_map(|value| (DiscountKind::Percent, value)),
        amount().prop_map(|value| (DiscountKind::Amount, value.max(1))),
    ];
    (kind_and_value, amount(), maybe(amount())).prop_map(move |((kind, value), min_total, max_discount)| {
        let id = format!("policy-{id}").parse().unwrap();
        DiscountPolicy { id, kind, value, min_total, max_discount }
    })
}

fn item(index: usize) -> impl Strategy<Value = Item> {
    let most = prop_oneof![3 => 1u32..20, 1 => Just(QUANTITY_MAX)];
    (amount(), maybe(0..=TOTAL_MAX), most, text()).prop_map(move |(price, total, most, name)| Item {
        sku: format!("SKU-{index}").parse().unwrap(),
        name,
        price,
        total,
        max_quantity_per_order: most,
    })
}

/// Generates valid terms.
pub(crate) fn terms() -> impl Strategy<Value = SaleTerms> {
    let items = (1usize..8).prop_flat_map(|n| (0..n).map(item).collect::<Vec<_>>());
    let policies = (0usize..4).prop_flat_map(|n| (0..n).map(policy).collect::<Vec<_>>());
    let window = prop_oneof![
        Just((None, None)),
        (0..LAST_MS).prop_map(|opens| (Some(Timestamp(opens)), Some(Timestamp(opens + 1)))),
    ];
    let limits = (maybe(1u32..5), 1..=HOLD_SECONDS_MAX);
    (text(), window, limits, amount(), maybe(amount()), policies, items).prop_map(
        |(
            title,
            (opens_at, closes_at),
            (limit, hold_seconds),
            delivery_fee,
            free_delivery_from,
            policies,
            items,
        )| {
            SaleTerms {
                title,
                currency: Currency::KRW,
                opens_at,
                closes_at,
                max_orders_per_customer: limit,
                hold_seconds,
                delivery_fee,
                free_delivery_from,
                discount_policies: policies,
                items,
            }
        },
    )
}

/// Generates terms, and a request for some of their items with one of their policies. Its sum may be too large.
pub(crate) fn terms_and_request() -> impl Strategy<Value = (SaleTerms, OrderRequest)> {
    terms().prop_flat_map(|terms| {
        let lines = subsequence(terms.items.clone(), 1..=terms.items.len()).prop_flat_map(|items| {
            let line = |item: Item| {
                (1..=i64::from(item.max_quantity_per_order))
                    .prop_map(move |quantity| RequestedLine { sku: item.sku.to_string(), quantity })
            };
            items.into_iter().map(line).collect::<Vec<_>>()
        });
        let ids: Vec<_> = terms.discount_policies.iter().map(|policy| policy.id.to_string()).collect();
        let policy = if ids.is_empty() { Just(None).boxed() } else { maybe(select(ids)).boxed() };
        let rest = (maybe(fulfilment()), maybe(address()), maybe(payment()));
        (Just(terms), lines, policy, rest).prop_map(|(terms, items, discount_policy_id, rest)| {
            let (fulfilment, shipping_address, payment) = rest;
            let expected_total = None;
            (
                terms,
                OrderRequest {
                    items,
                    discount_policy_id,
                    expected_total,
                    fulfilment,
                    shipping_address,
                    payment,
                },
            )
        })
    })
}

/// Generates a well-formed request with arbitrary values.
pub(crate) fn request() -> impl Strategy<Value = OrderRequest> {
    let line = (".{0,20}", -5i64..20_000).prop_map(|(sku, quantity)| RequestedLine { sku, quantity });
    let rest = (maybe(fulfilment()), maybe(address()), maybe(payment()));
    (vec(line, 1..5), maybe(name()), maybe(-1i64..1 << 50), rest).prop_map(
        |(items, discount_policy_id, expected_total, (fulfilment, shipping_address, payment))| OrderRequest {
            items,
            discount_policy_id,
            expected_total,
            fulfilment,
            shipping_address,
            payment,
        },
    )
}

pub(crate) fn line_of(sku: &str) -> RequestedLine {
    RequestedLine { sku: sku.into(), quantity: 1 }
}

fn fulfilment() -> impl Strategy<Value = Fulfilment> {
    select(vec![Fulfilment::Ship, Fulfilment::Store])
}

pub(crate) fn address() -> impl Strategy<Value = Address> {
    (text(), text(), maybe(text()), text(), text(), text(), maybe(text())).prop_map(
        |(name, line1, line2, city, postal_code, country, phone)| Address {
            name,
            line1,
            line2,
            city,
            postal_code,
            country,
            phone,
        },
    )
}

pub(crate) fn some_address() -> Address {
    let text = || "x".to_string();
    Address {
        name: text(),
        line1: text(),
        line2: None,
        city: text(),
        postal_code: text(),
        country: text(),
        phone: None,
    }
}

pub(crate) fn payment() -> impl Strategy<Value = PaymentRequest> {
    let method = select(vec![PaymentMethod::Card, PaymentMethod::Wallet]);
    (method, maybe(visible(200))).prop_map(|(method, token)| PaymentRequest { method, token })
}

pub(crate) fn some_payment() -> PaymentRequest {
    PaymentRequest { method: PaymentMethod::Card, token: None }
}

pub(crate) fn order_id() -> impl Strategy<Value = OrderId> {
    (0u64..1 << 48, any::<u16>(), any::<[u8; 8]>()).prop_map(|(ms, random, mut low)| {
        low[0] = (low[0] & 0x3f) | 0x80;
        OrderId::new(ms, random, RequestFingerprint(low))
    })
}

/// Generates an order as it is in the log.
pub(crate) fn order() -> impl Strategy<Value = Order> {
    let line = (name(), 1..=QUANTITY_MAX, 0..=PRICE_MAX).prop_map(|(sku, quantity, unit_price)| Line {
        sku: sku.parse().unwrap(),
        quantity,
        unit_price,
    });
    let identity = (order_id(), name(), maybe(text()), visible(128), any::<[u8; 8]>());
    let amounts = (maybe(name()), amount(), amount(), 1..=HOLD_SECONDS_MAX);
    let rest = (maybe(fulfilment()), maybe(address()), maybe(payment()));
    (identity, vec(line, 1..5), amounts, rest).prop_map(|(identity, lines, amounts, rest)| {
        let (id, customer, email, key, digest) = identity;
        let (policy, discount, delivery_fee, hold_seconds) = amounts;
        let (fulfilment, address, payment) = rest;
        Order {
            id,
            customer: customer.parse().unwrap(),
            email: email.map(Into::into),
            key: IdempotencyKey::parse(&key).unwrap(),
            digest: RequestDigest(digest),
            lines,
            policy: policy.map(|id| id.parse().unwrap()),
            discount,
            delivery_fee,
            hold_seconds,
            fulfilment,
            address: address.map(Box::new),
            payment: payment.map(Box::new),
        }
    })
}

/// Returns the same JSON with its members in another order and other white space.
pub(crate) fn shuffled_json(value: &Value, seed: u64) -> String {
    let mut text = String::new();
    write_shuffled(value, &mut Dice(seed | 1), &mut text);
    text
}

/// A small random generator (xorshift), whose seed is the value that proptest shrinks.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

fn write_shuffled(value: &Value, dice: &mut Dice, text: &mut String) {
    let space = |dice: &mut Dice, text: &mut String| text.push_str(["", " ", "\n\t", "\r\n"][dice.below(4)]);
    space(dice, text);
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for i in (1..members.len()).rev() {
                members.swap(i, dice.below(i + 1));
            }
            text.push('{');
            for (i, (name, value)) in members.into_iter().enumerate() {
                text.push_str(if i > 0 { "," } else { "" });
                space(dice, text);
                text.push_str(&Value::from(name.as_str()).to_string());
                space(dice, text);
                text.push(':');
                write_shuffled(value, dice, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (i, value) in values.iter().enumerate() {
                text.push_str(if i > 0 { "," } else { "" });
                write_shuffled(value, dice, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
    space(dice, text);
}

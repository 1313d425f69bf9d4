//! Properties of prices: each amount follows from the terms, and stays the same in every representation of the
//! order.

use contract::ids::{Sequence, Sku};
use contract::money::AMOUNT_MAX;
use contract::order::{Amounts, Line, Order, OrderRefusal, OrderRequest, PricedRequest, price};
use contract::order_receipt::OrderReceipt;
use contract::sale::{DiscountKind, DiscountPolicy, SaleTerms};
use contract::timestamp::Timestamp;
use contract::wire;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::strategies::{order, terms, terms_and_request};

/// Computes subtotal, discount and fee independently, in numbers so wide that nothing overflows.
fn expected_cost(
    lines: &[(u64, u64)],
    policy: Option<&DiscountPolicy>,
    terms: &SaleTerms,
) -> (u128, u128, u128) {
    let subtotal: u128 =
        lines.iter().map(|(price, quantity)| u128::from(*price) * u128::from(*quantity)).sum();
    let discount = policy.filter(|policy| subtotal >= policy.min_total.into()).map_or(0, |policy| {
        let full = match policy.kind {
            // Rounds down. Sums that exceed the limit are refused anyway.
            DiscountKind::Percent => subtotal.min(AMOUNT_MAX.into()) * u128::from(policy.value) / 100,
            DiscountKind::Amount => policy.value.into(),
        };
        full.min(policy.max_discount.map_or(u128::MAX, u128::from)).min(subtotal)
    });
    let free = terms.free_delivery_from.is_some_and(|from| subtotal - discount >= from.into());
    (subtotal, discount, if free { 0 } else { terms.delivery_fee.into() })
}

/// Returns the expected result: `None` if an amount exceeds the maximum.
fn allowed((subtotal, discount, fee): (u128, u128, u128)) -> Option<Amounts> {
    let fits = subtotal.max(subtotal - discount + fee) <= AMOUNT_MAX.into();
    let narrow = |amount: u128| u64::try_from(amount).unwrap();
    fits.then(|| Amounts {
        subtotal: narrow(subtotal),
        discount: narrow(discount),
        delivery_fee: narrow(fee),
    })
}

fn request_cost(request: &OrderRequest, terms: &SaleTerms) -> (u128, u128, u128) {
    let priced = |line: &contract::order::RequestedLine| {
        (terms.item(&line.sku).unwrap().price, u64::try_from(line.quantity).unwrap())
    };
    let lines: Vec<_> = request.items.iter().map(priced).collect();
    let policy = request.discount_policy_id.as_deref();
    let policy = policy.map(|id| terms.discount_policies.iter().find(|p| p.id.as_str() == id).unwrap());
    expected_cost(&lines, policy, terms)
}

/// Generates amounts of any size, most of them at the ends of the range.
fn any_amount() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 99, 100, AMOUNT_MAX - 1, AMOUNT_MAX, AMOUNT_MAX + 1, u64::MAX - 1, u64::MAX];
    prop_oneof![2 => proptest::sample::select(edges.to_vec()), 1 => 0..=AMOUNT_MAX, 1 => any::<u64>()]
}

/// Generates price and quantity of lines: mostly few, so that their sum is often within the limit.
fn any_lines() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let price = prop_oneof![1 => any_amount(), 1 => 0u64..1_000_000, 1 => AMOUNT_MAX / 4..=AMOUNT_MAX];
    let line = (price, prop_oneof![3 => 0u32..3, 1 => any::<u32>()]);
    prop_oneof![3 => proptest::collection::vec(line.clone(), 1..3), 1 => proptest::collection::vec(line, 0..60)]
}

fn any_policy() -> impl Strategy<Value = DiscountPolicy> {
    let kind = prop_oneof![Just(DiscountKind::Percent), Just(DiscountKind::Amount)];
    (kind, any_amount(), any_amount(), proptest::option::of(any_amount())).prop_map(
        |(kind, value, min_total, max_discount)| DiscountPolicy {
            id: "any".parse().unwrap(),
            kind,
            value,
            min_total,
            max_discount,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/amounts.txt"))), ..ProptestConfig::default() })]

    #[test]
    fn a_price_follows_the_terms_and_its_sums_agree((terms, request) in terms_and_request()) {
        prop_assert_eq!(terms.validate(), Ok(()));
        let expected = allowed(request_cost(&request, &terms));
        match request.price(&terms) {
            Ok(priced) => {
                prop_assert_eq!(Some(priced.amounts), expected);
                let Amounts { subtotal, discount, delivery_fee } = priced.amounts;
                prop_assert!(discount <= subtotal);
                prop_assert_eq!(priced.amounts.total(), subtotal - discount + delivery_fee);
                let lines: Vec<_> =
                    priced.lines.iter().map(|l| (l.sku.to_string(), i64::from(l.quantity))).collect();
                let wanted: Vec<_> = request.items.iter().map(|l| (l.sku.clone(), l.quantity)).collect();
                prop_assert_eq!(lines, wanted);
            }
            // The request is valid, so only its sum can be refused.
            Err(OrderRefusal::NotAllowed(why)) => {
                prop_assert!(why.contains("too large"), "{}", why);
                prop_assert_eq!(expected, None);
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn an_expected_total_is_matched_exactly_or_refused((terms, mut request) in terms_and_request(), off in 1i64..1000) {
        if let Ok(priced) = request.clone().price(&terms) {
            let total = priced.amounts.total() as i64;
            request.expected_total = Some(total);
            prop_assert_eq!(&request.clone().price(&terms).unwrap(), &priced);
            for other in [total + off, total - off, i64::MAX, i64::MIN] {
                request.expected_total = Some(other);
                let refused = request.clone().price(&terms).unwrap_err();
                if other < 0 {
                    prop_assert!(matches!(refused, OrderRefusal::Invalid(_)));
                } else {
                    prop_assert_eq!(refused, OrderRefusal::TotalMismatch { total: total as u64 });
                }
            }
        }
    }

    /// Tests the exact amount at which a discount begins, stops growing, or delivery becomes free, and one below and above.
    #[test]
    fn thresholds_are_inclusive(
        (mut terms, request) in terms_and_request(),
        kind in prop_oneof![Just(DiscountKind::Percent), Just(DiscountKind::Amount)],
        value in 1u64..=100,
        fee in 1u64..10_000,
    ) {
        let plain = OrderRequest { discount_policy_id: None, ..request.clone() };
        let subtotal = plain.price(&terms).map_or(0, |priced| priced.amounts.subtotal);
        prop_assume!((1..AMOUNT_MAX - 10_000).contains(&subtotal));
        let policy = |min_total, max_discount| {
            DiscountPolicy { id: "edge".parse().unwrap(), kind, value, min_total, max_discount }
        };
        let discounted = OrderRequest { discount_policy_id: Some("edge".into()), ..request };
        let mut amounts_under = |policy, fee, from| {
            terms.discount_policies = vec![policy];
            (terms.delivery_fee, terms.free_delivery_from) = (fee, from);
            discounted.price(&terms).map(|priced| priced.amounts)
        };
        let full = amounts_under(policy(0, None), 0, None).unwrap().discount;
        for (min_total, discount) in [(subtotal - 1, full), (subtotal, full), (subtotal + 1, 0)] {
            prop_assert_eq!(amounts_under(policy(min_total, None), 0, None).unwrap().discount, discount);
        }
        for (most, discount) in [(0, 0), (full, full), (full + 1, full), (full.saturating_sub(1), full.saturating_sub(1))] {
            prop_assert_eq!(amounts_under(policy(0, Some(most)), 0, None).unwrap().discount, discount);
        }
        let after = subtotal - full;
        for (from, charged) in [(after.saturating_sub(1), 0), (after, 0), (after + 1, fee)] {
            prop_assert_eq!(amounts_under(policy(0, None), fee, Some(from)).unwrap().delivery_fee, charged);
        }
    }

    /// Even for terms that cannot be stored, the sum is exact, or there is none.
    #[test]
    fn no_terms_cause_an_overflow(
        mut terms in terms(),
        lines in any_lines(),
        policy in proptest::option::of(any_policy()),
        delivery_fee in any_amount(),
        free_delivery_from in proptest::option::of(any_amount()),
    ) {
        (terms.delivery_fee, terms.free_delivery_from) = (delivery_fee, free_delivery_from);
        let numbers: Vec<_> = lines.iter().map(|(price, quantity)| (*price, u64::from(*quantity))).collect();
        let sku: Sku = "A".parse().unwrap();
        let lines: Vec<_> =
            lines.into_iter().map(|(unit_price, quantity)| Line { sku: sku.clone(), quantity, unit_price }).collect();
        let expected = allowed(expected_cost(&numbers, policy.as_ref(), &terms));
        prop_assert_eq!(price(&lines, policy.as_ref(), &terms), expected);
    }

    /// The log, Redis and the response to a retry contain the amounts that the customer received first.
    #[test]
    fn an_order_has_the_same_price_in_every_representation((terms, request) in terms_and_request(), template in order()) {
        let Ok(PricedRequest { lines, policy, amounts, .. }) = request.price(&terms) else { return Ok(()) };
        let Amounts { discount, delivery_fee, .. } = amounts;
        let order = Order { lines, policy, discount, delivery_fee, ..template };
        prop_assert_eq!(order.amounts(), amounts);
        let read: Order = serde_json::from_slice(&wire::encode(&order)).unwrap();
        prop_assert_eq!(read.amounts(), amounts);
        let of_lines: u128 =
            read.lines.iter().map(|line| u128::from(line.unit_price) * u128::from(line.quantity)).sum();
        prop_assert_eq!(of_lines, u128::from(amounts.subtotal));
        let remembered = OrderReceipt {
            id: order.id,
            digest: order.digest,
            sequence: Sequence(1),
            accepted_at: Timestamp(1_790_000_000_000),
            hold_seconds: order.hold_seconds,
            amounts,
            live: true,
        };
        prop_assert_eq!(OrderReceipt::decode(&remembered.encode()).unwrap().amounts, amounts);
    }
}

/// The largest amount is accepted and one more is refused, for the subtotal and for the total.
#[test]
fn the_largest_amount_is_accepted_and_one_more_is_refused() {
    let item = r#"{"sku": "A", "name": "A", "price": 0, "total": null}"#;
    let terms = format!(r#"{{"title": "T", "currency": "KRW", "items": [{item}]}}"#);
    let mut terms: SaleTerms = serde_json::from_str(&terms).unwrap();
    let off = DiscountPolicy {
        id: "off".parse().unwrap(),
        kind: DiscountKind::Amount,
        value: 3000,
        min_total: 0,
        max_discount: None,
    };
    let total = |unit_price: u64, policy: Option<&DiscountPolicy>, terms: &SaleTerms| {
        let line = Line { sku: "A".parse().unwrap(), quantity: 1, unit_price };
        price(&[line], policy, terms).map(|amounts| amounts.total())
    };
    for fee in [0, 1, 3000] {
        terms.delivery_fee = fee;
        assert_eq!(total(AMOUNT_MAX - fee, None, &terms), Some(AMOUNT_MAX));
        assert_eq!(total(AMOUNT_MAX - fee + 1, None, &terms), None);
        assert_eq!(total(AMOUNT_MAX, Some(&off), &terms), Some(AMOUNT_MAX - 3000 + fee));
        assert_eq!(total(AMOUNT_MAX + 1, Some(&off), &terms), None);
    }
}

//! Properties that must hold for all values of the contract's types.

#![allow(clippy::unwrap_used)] // tests

mod amounts;
mod strategies;

use std::collections::BTreeMap;

use contract::ids::{
    CustomerId, Epoch, IdempotencyKey, OrderId, RequestDigest, RequestFingerprint, SaleId, Sequence,
};
use contract::lifecycle::{OrderStatus, Trigger};
use contract::money::AMOUNT_MAX;
use contract::order::{Amounts, Order, OrderRefusal, OrderRequest, RequestedLine};
use contract::order_receipt::{BYTES, OrderReceipt};
use contract::record::{self, AcceptedBatch, Headers, OutboxId, Record};
use contract::sale::{QUANTITY_MAX, SaleTerms};
use contract::timestamp::Timestamp;
use contract::wire;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use strategies::{
    address, line_of, name, order, order_id, payment, request, shuffled_json, terms, terms_and_request,
    timestamp, visible,
};

/// A fault that is planted into a valid request, named after the expected refusal. Declared by precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Invalid(u8),
    UnknownSku,
    TotalMismatch,
}

/// The number of kinds of invalid values that [`plant`] supports.
const INVALID_KINDS: u8 = 10;

fn plant(request: &mut OrderRequest, terms: &SaleTerms, fault: Fault) {
    let first_max = terms.item(&request.items[0].sku).map(|item| i64::from(item.max_quantity_per_order));
    match fault {
        Fault::Invalid(0) => request.items[0].quantity = 0,
        Fault::Invalid(1) => request.items[0].quantity = -3,
        Fault::Invalid(2) => request.items[0].quantity = first_max.unwrap_or(10_000) + 1,
        Fault::Invalid(3) => request.items.push(request.items[0].clone()),
        Fault::Invalid(4) => request.items.push(RequestedLine { sku: "no name".into(), quantity: 1 }),
        Fault::Invalid(5) => request.discount_policy_id = Some("no-such-policy".into()),
        Fault::Invalid(6) => request.expected_total = Some(-1),
        Fault::Invalid(7) => {
            let address = request.shipping_address.get_or_insert_with(strategies::some_address);
            address.city = "Seo\u{7}ul".into();
        }
        Fault::Invalid(8) => {
            let payment = request.payment.get_or_insert_with(strategies::some_payment);
            payment.token = Some("x".repeat(201));
        }
        Fault::Invalid(_) => request.items = (0..51).map(|i| line_of(&format!("S{i}"))).collect(),
        Fault::UnknownSku => request.items.insert(0, line_of("never-offered")),
        Fault::TotalMismatch => request.expected_total = Some(AMOUNT_MAX as i64), // more than any order can cost
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/properties.txt"))), ..ProptestConfig::default() })]

    #[test]
    fn of_several_faults_the_first_in_precedence_is_reported(
        (terms, mut request) in terms_and_request(),
        total_mismatch: bool,
        unknown: bool,
        invalid in proptest::option::of(0..INVALID_KINDS),
    ) {
        request.expected_total = None;
        prop_assume!(request.clone().price(&terms).is_ok());
        // The order of planting makes sure that an invalid value is not overwritten.
        let mut faults = vec![];
        faults.extend(total_mismatch.then_some(Fault::TotalMismatch));
        faults.extend(invalid.map(Fault::Invalid));
        for fault in &faults {
            plant(&mut request, &terms, *fault);
        }
        if unknown {
            plant(&mut request, &terms, Fault::UnknownSku);
            faults.push(Fault::UnknownSku);
        }
        let priced = request.price(&terms).map(drop);
        match faults.iter().min() {
            None => prop_assert_eq!(priced, Ok(())),
            // A policy, and more units than the item allows: another sale might allow them.
            Some(Fault::Invalid(kind @ (2 | 5)))
                if *kind == 5 || request.items.iter().all(|line| line.quantity <= i64::from(QUANTITY_MAX)) =>
            {
                prop_assert!(matches!(priced, Err(OrderRefusal::NotAllowed(_))), "{:?}", priced);
            }
            Some(Fault::Invalid(_)) => prop_assert!(matches!(priced, Err(OrderRefusal::Invalid(_))), "{:?}", priced),
            Some(Fault::UnknownSku) => prop_assert!(matches!(priced, Err(OrderRefusal::UnknownSku(_))), "{:?}", priced),
            Some(Fault::TotalMismatch) => {
                prop_assert!(matches!(priced, Err(OrderRefusal::TotalMismatch { .. })), "{:?}", priced);
            }
        }
    }

    #[test]
    fn any_request_is_priced_or_refused_without_a_panic(
        terms in terms(),
        lines in proptest::collection::vec((".{0,70}", any::<i64>()), 0..60),
        policy in proptest::option::of(".{0,70}"),
        expected_total: Option<i64>,
    ) {
        let items = lines.into_iter().map(|(sku, quantity)| RequestedLine { sku, quantity }).collect();
        let request = OrderRequest {
            items,
            discount_policy_id: policy,
            expected_total,
            fulfilment: None,
            shipping_address: None,
            payment: None,
        };
        let _ = request.price(&terms);
    }

    #[test]
    fn terms_round_trip_through_json(terms in terms()) {
        let json = wire::encode_text(&terms);
        prop_assert_eq!(serde_json::from_str::<SaleTerms>(&json).unwrap(), terms);
    }

    #[test]
    fn an_order_round_trips_through_json(order in order()) {
        let json = wire::encode(&order);
        prop_assert_eq!(serde_json::from_slice::<Order>(&json).unwrap(), order);
    }

    #[test]
    fn a_batch_round_trips_through_the_log(
        orders in proptest::collection::vec(order(), 1..8),
        first in 1u64..1 << 40,
        epoch: u32,
        at in timestamp(),
        sale in name(),
    ) {
        let sale = SaleId::parse(&sale).unwrap();
        let (first, epoch) = (Sequence(first), Epoch(epoch.into()));
        let json: Vec<_> = orders.iter().map(wire::encode_text).collect();
        let value = record::encode_accepted(&sale, epoch, first, at, json.join(",").as_bytes());
        let headers = Headers::accepted(epoch, first, orders.len() as u64, record::units(&orders));
        let batch = AcceptedBatch { sale_id: sale, epoch, first_sequence: first, accepted_at: at, orders };
        prop_assert_eq!(record::decode(&headers, &value).unwrap(), Record::Accepted(batch));
        // If the headers contradict the value, the record is rejected.
        for wrong in [
            Headers { epoch: Some(Epoch(epoch.0 + 1)), ..headers.clone() },
            Headers { sequences: headers.sequences.map(|(f, n)| (f, n + 1)), ..headers.clone() },
            Headers { units: BTreeMap::new(), ..headers.clone() },
            Headers { version: Some(2), ..headers.clone() },
            Headers { record_type: Some("later_kind".into()), ..headers.clone() },
        ] {
            prop_assert!(record::decode(&wrong, &value).is_err(), "{:?}", wrong);
        }
    }

    #[test]
    fn headers_round_trip_through_text(
        record_type in proptest::option::of("[a-z_]{1,20}"),
        version: Option<u32>,
        epoch: Option<u64>,
        sequences: Option<(u64, u64)>,
        units in proptest::collection::btree_map(name(), any::<u64>(), 0..6),
    ) {
        let headers = Headers {
            record_type,
            version,
            epoch: epoch.map(Epoch),
            sequences: sequences.map(|(first, count)| (Sequence(first), count)),
            units: units.into_iter().map(|(sku, n)| (sku.parse().unwrap(), n)).collect(),
        };
        let encoded = headers.encode();
        prop_assert_eq!(Headers::decode(encoded.iter().map(|(n, text)| (*n, text.as_bytes()))), headers);
    }

    #[test]
    fn invalid_headers_are_left_out(raw in proptest::collection::vec(
        ("type|version|epoch|sequences|units|other", proptest::collection::vec(any::<u8>(), 0..20)), 0..8,
    )) {
        let headers = Headers::decode(raw.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
        prop_assert!(headers.version.is_none() || raw.iter().any(|(name, _)| name == "version"));
        let _ = record::decode(&headers, b"{}");
    }

    #[test]
    fn an_order_receipt_round_trips_through_sixty_bytes(
        id in order_id(),
        digest: [u8; 8],
        sequence in 0u64..1 << 40,
        at in timestamp(),
        hold_seconds: u32,
        subtotal in 0..=AMOUNT_MAX,
        delivery_fee in 0u64..1 << 48,
        part in 0.0..=1.0f64,
        live: bool,
    ) {
        let order = OrderReceipt {
            id,
            digest: RequestDigest(digest),
            sequence: Sequence(sequence),
            accepted_at: at,
            hold_seconds,
            amounts: Amounts { subtotal, discount: (subtotal as f64 * part) as u64, delivery_fee },
            live,
        };
        let bytes = order.encode();
        prop_assert_eq!(OrderReceipt::decode(&bytes), Some(order));
        prop_assert_eq!(OrderReceipt::decode(&bytes[1..]), None);
        let mut unknown_flag = bytes;
        unknown_flag[BYTES - 1] = b'?';
        prop_assert_eq!(OrderReceipt::decode(&unknown_flag), None);
    }

    #[test]
    fn an_order_id_contains_its_request_fingerprint(sale in name(), customer in name(), key in visible(128), ms in 0u64..1 << 48, random: u16) {
        let request = RequestFingerprint::compute(
            &SaleId::parse(&sale).unwrap(),
            &CustomerId::parse(&customer).unwrap(),
            &IdempotencyKey::parse(&key).unwrap(),
        );
        let id = OrderId::new(ms, random, request);
        prop_assert_eq!(id.request(), request);
        prop_assert_eq!(id.to_string().parse::<OrderId>().unwrap(), id);
        prop_assert_eq!((id.0.get_version_num(), id.0.get_variant()), (7, uuid::Variant::RFC4122));
        let later = OrderId::new(ms + 1, 0, request);
        prop_assert!(ms + 1 >= 1 << 48 || id < later, "ids sort by time");
    }

    #[test]
    fn outbox_ids_sort_like_redis_stream_ids(a: (u64, u64), b: (u64, u64), orders in 1u64..=128) {
        let id = |(first, low)| OutboxId { first: Sequence(first), low };
        prop_assert_eq!(id(a).cmp(&id(b)), a.cmp(&b)); // Redis compares the two numbers of a stream id in turn
        prop_assert_eq!(OutboxId::parse(&id(a).to_string()), Some(id(a)));
        let batch = OutboxId::batch(Sequence(a.0), orders);
        prop_assert_eq!(batch.orders(), orders);
        let change = id((a.0, a.1 % OutboxId::BATCH));
        prop_assert_eq!(change.orders(), 0);
        prop_assert!(change < batch, "a change sorts before the batch with the same sequence");
    }

    #[test]
    fn a_timestamp_round_trips_through_text(at in timestamp(), seconds in 0u64..1 << 33) {
        prop_assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
        prop_assert_eq!(Timestamp::from_datetime(at.to_datetime()), at);
        let json = wire::encode_text(&at);
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
        prop_assert!(at.plus_seconds(seconds) >= at);
    }

    #[test]
    fn a_digest_does_not_depend_on_the_json_formatting(request in request(), seed: u64) {
        let value = serde_json::to_value(&request).unwrap();
        let text = shuffled_json(&value, seed);
        let read: OrderRequest = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.digest(), request.digest(), "{}", text);
    }

    #[test]
    fn a_digest_depends_on_each_value(request in request(), other in request(), address in address(), payment in payment()) {
        let mut changed = vec![];
        let mut change = |with: &dyn Fn(&mut OrderRequest)| {
            let mut copy = request.clone();
            with(&mut copy);
            changed.push(copy);
        };
        change(&|r| r.items[0].sku.push('x'));
        change(&|r| r.items[0].quantity += 1);
        change(&|r| r.items.push(line_of("one-more")));
        change(&|r| r.items.reverse());
        change(&|r| r.discount_policy_id = other.discount_policy_id.clone());
        change(&|r| r.expected_total = r.expected_total.map_or(Some(0), |total| Some(total + 1)));
        change(&|r| r.fulfilment = other.fulfilment);
        change(&|r| r.shipping_address = Some(address.clone()));
        change(&|r| if let Some(a) = &mut r.shipping_address { a.phone = None });
        change(&|r| if let Some(a) = &mut r.shipping_address { std::mem::swap(&mut a.name, &mut a.line1) });
        change(&|r| r.payment = Some(payment.clone()));
        change(&|r| if let Some(p) = &mut r.payment { p.token = None });
        let json = |request: &OrderRequest| serde_json::to_value(request).unwrap();
        for copy in changed {
            prop_assert_eq!(
                copy.digest() == request.digest(),
                json(&copy) == json(&request),
                "{:?} and {:?}", copy, request
            );
        }
    }
}

/// The table of transitions: every path ends, and there are no cycles.
#[test]
fn every_order_reaches_a_final_status_and_never_returns_to_an_earlier_one() {
    fn walk(status: OrderStatus, before: &mut Vec<OrderStatus>) {
        assert!(!before.contains(&status), "{before:?} leads back to {status:?}");
        let next: Vec<_> = Trigger::ALL.into_iter().filter_map(|trigger| status.next(trigger).ok()).collect();
        assert!(!next.is_empty() || status.is_final(), "{status:?} leads nowhere");
        before.push(status);
        for status in next {
            walk(status, before);
        }
        before.pop();
    }
    walk(OrderStatus::Processing, &mut Vec::new());
    for status in OrderStatus::ALL {
        for trigger in Trigger::ALL {
            if let Err(refused) = status.next(trigger) {
                assert_eq!((refused.from, refused.trigger), (status, trigger));
            }
        }
        assert_eq!(OrderStatus::parse(status.as_str()), Some(status));
        assert!(!(status.holds_units() && status.sells_units()));
    }
    assert!(OrderStatus::Cancelled.is_final() && !OrderStatus::Cancelled.can_cancel());
    let can_cancel: Vec<_> = OrderStatus::ALL.into_iter().filter(|status| status.can_cancel()).collect();
    use OrderStatus::{Created, InWarehouse, PaymentCompleted, PaymentRequested, Preparing, Processing};
    assert_eq!(can_cancel, [Processing, Created, PaymentRequested, PaymentCompleted, Preparing, InWarehouse]);
}

proptest! {
    /// For any sequence of triggers, only legal transitions happen: an order is paid once, refunded only after
    /// payment, and units leave `sold` only by a cancellation.
    #[test]
    fn any_sequence_of_triggers_keeps_money_and_units_consistent(
        triggers in proptest::collection::vec(proptest::sample::select(&Trigger::ALL[..]), 0..60)
    ) {
        let (mut status, mut captured, mut returned) = (OrderStatus::Processing, 0, 0);
        for trigger in triggers {
            let Ok(next) = status.next(trigger) else { continue };
            captured += u32::from(next == OrderStatus::PaymentCompleted);
            returned += u32::from(next == OrderStatus::Refunded || status.is_paid() && next == OrderStatus::Cancelled);
            prop_assert!(!(status.sells_units() && next.holds_units()), "{status:?} to {next:?}");
            prop_assert!(status.sells_units() <= (next.sells_units() || next == OrderStatus::Cancelled));
            status = next;
        }
        prop_assert!(captured <= 1 && returned <= captured);
        prop_assert_eq!(status.is_paid(), captured > returned);
    }
}

/// The documentation is generated from the table: `UPDATE_DOCS=1 cargo test -p contract` updates it.
#[test]
fn the_documented_lifecycle_matches_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lifecycle.md");
    let written = std::fs::read_to_string(path).unwrap();
    let (before, rest) = written.split_once("<!-- drawn from the table -->\n").unwrap();
    let (drawn, after) = rest.split_once("<!-- end -->\n").unwrap();
    let diagram = contract::lifecycle::diagram();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}<!-- drawn from the table -->\n{diagram}<!-- end -->\n{after}");
        std::fs::write(path, text).unwrap();
    } else {
        assert!(drawn == diagram, "docs/lifecycle.md is out of date: UPDATE_DOCS=1 cargo test -p contract");
    }
}

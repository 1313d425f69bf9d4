//! Guards the wire formats against accidental changes: each fixture is decoded, compared with the expected value,
//! and encoded again, byte for byte (`fixtures/README.md`).

#![allow(clippy::unwrap_used)] // tests

use std::collections::BTreeMap;

use contract::event::{self, InventoryEvent, Movement, OrderEvent};
use contract::ids::{
    CustomerId, Epoch, IdempotencyKey, OrderId, PolicyId, RequestDigest, RequestFingerprint, SaleId,
    Sequence, Sku, customer_hash,
};
use contract::keys::{SaleKeys, buyer_field};
use contract::lifecycle::{Language, OrderStatus};
use contract::money::Currency;
use contract::order::{
    Address, Amounts, Fulfilment, Line, Order, OrderRequest, PaymentMethod, PaymentRequest,
};
use contract::order_receipt::OrderReceipt;
use contract::payment;
use contract::publication::{self, Heartbeat, Position, SalePublication, SalesMessage, ScriptDigests};
use contract::record::{
    self, AcceptedBatch, Action, Barrier, Command, Decision, DeliveryChange, Headers, NewTotal, OutboxId,
    PaymentOutcome, PaymentResult, Record, RecordType, RefundResult, Resolution, Tick, TotalsChange,
};
use contract::sale::{DiscountKind, DiscountPolicy, Item, SaleState, SaleTerms};
use contract::timestamp::Timestamp;
use contract::wire;
use serde::Serialize;
use uuid::Uuid;

/// A Kafka message, parsed from a fixture.
struct Message {
    key: String,
    headers: Vec<(String, String)>,
    value: String,
}

impl Message {
    fn read(text: &str) -> Self {
        let (head, value) = text.split_once("\n\n").expect("an empty line before the value");
        let mut lines = head.lines().map(|line| line.split_once(": ").expect("name: value"));
        let ("key", key) = lines.next().expect("a key") else { panic!("the key comes first") };
        Self {
            key: key.into(),
            headers: lines.map(|(name, value)| (name.into(), value.into())).collect(),
            value: value.strip_suffix('\n').expect("a line end").into(),
        }
    }
    fn record_headers(&self) -> Headers {
        Headers::decode(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
    }
    fn record(&self) -> Record {
        record::decode(&self.record_headers(), self.value.as_bytes()).expect("a record")
    }
    fn has_headers<N: AsRef<str>>(&self, headers: impl IntoIterator<Item = (N, String)>) {
        let headers: Vec<_> = headers.into_iter().map(|(n, value)| (n.as_ref().to_string(), value)).collect();
        assert_eq!(self.headers, headers);
    }
    fn has_value(&self, value: &impl Serialize) {
        assert_eq!(self.value, wire::encode_text(value));
    }
}

fn sale() -> SaleId {
    SaleId::parse("spring-2026").unwrap()
}
fn sku(name: &str) -> Sku {
    Sku::parse(name).unwrap()
}
fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}
fn order_id(text: &str) -> OrderId {
    text.parse().unwrap()
}

fn plain_order() -> Order {
    let line = Line { sku: sku("CAP"), quantity: 1, unit_price: 10_000 };
    let (customer, key) = (CustomerId::parse("c-1").unwrap(), IdempotencyKey::parse("k-1").unwrap());
    Order {
        id: order_id("019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9"),
        digest: RequestDigest([0, 0, 0, 0, 0, 0, 0, 0xff]),
        ..Order::plain(&SaleId::parse("spring-2026").unwrap(), customer, key, Timestamp(0), [line])
    }
}

fn order_with_everything() -> Order {
    Order {
        id: order_id("019caa3f-8c7d-7def-92f4-9a5b9fe1b0c2"),
        customer: CustomerId::parse("c-2").unwrap(),
        email: Some("c2@example.com".into()),
        key: IdempotencyKey::parse(r#"k-2"\"#).unwrap(),
        digest: RequestDigest([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]),
        lines: vec![
            Line { sku: sku("CAP"), quantity: 1, unit_price: 10_000 },
            Line { sku: sku("MUG.blue"), quantity: 4, unit_price: 20_000 },
        ],
        policy: Some(PolicyId::parse("ten-percent").unwrap()),
        discount: 9000,
        delivery_fee: 3000,
        hold_seconds: 600,
        fulfilment: Some(Fulfilment::Store),
        address: Some(Box::new(Address {
            name: "김민지".into(),
            line1: "1 Main Street".into(),
            line2: Some("Apt 2".into()),
            city: "서울".into(),
            postal_code: "04524".into(),
            country: "KR".into(),
            phone: Some("+82-2-000-0000".into()),
        })),
        payment: Some(Box::new(PaymentRequest { method: PaymentMethod::Card, token: Some("tok_1".into()) })),
    }
}

#[test]
fn an_accepted_batch() {
    let fixture = Message::read(include_str!("../fixtures/orders-accepted.v1.txt"));
    let batch = AcceptedBatch {
        sale_id: sale(),
        epoch: Epoch(3),
        first_sequence: Sequence(41),
        accepted_at: at("2026-03-01T09:00:00.125Z"),
        orders: vec![plain_order(), order_with_everything()],
    };
    assert_eq!(fixture.record(), Record::Accepted(batch.clone()));
    assert_eq!(fixture.key, batch.sale_id.as_str());
    let units = BTreeMap::from([(sku("CAP"), 2), (sku("MUG.blue"), 4)]);
    assert_eq!(record::units(&batch.orders), units);
    fixture.has_headers(Headers::accepted(Epoch(3), Sequence(41), 2, units).encode());
    // The gateway and the relay encode it from orders that are JSON already.
    let orders: Vec<_> = batch.orders.iter().map(wire::encode_text).collect();
    let joined = orders.join(",");
    let written =
        record::encode_accepted(&sale(), Epoch(3), Sequence(41), batch.accepted_at, joined.as_bytes());
    assert_eq!(fixture.value, String::from_utf8(written.to_vec()).unwrap());
    fixture.has_value(&batch);
}

#[test]
fn a_change_of_totals() {
    let fixture = Message::read(include_str!("../fixtures/orders-totals.v1.txt"));
    let change = TotalsChange {
        sale_id: sale(),
        epoch: Epoch(3),
        change_id: Uuid::parse_str("6f9619ff-8b86-4d01-b42d-00cf4fc964ff").unwrap(),
        items: vec![NewTotal { sku: sku("CAP"), total: 80 }, NewTotal { sku: sku("MUG.blue"), total: 0 }],
    };
    assert_eq!(fixture.record(), Record::Totals(change.clone()));
    fixture.has_headers(Headers::with_epoch(RecordType::Totals, Epoch(3)).encode());
    fixture.has_value(&change);
}

#[test]
fn a_barrier() {
    let fixture = Message::read(include_str!("../fixtures/orders-barrier.v1.txt"));
    let barrier = Barrier { sale_id: sale(), epoch: Epoch(4) };
    assert_eq!(fixture.record(), Record::Barrier(barrier.clone()));
    fixture.has_headers(Headers::with_epoch(RecordType::Barrier, Epoch(4)).encode());
    fixture.has_value(&barrier);
}

#[test]
fn commands() {
    let order_id = order_id("019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9");
    let (payment_id, amount, currency) = (payment::payment_id(order_id), 42_000, Currency::KRW);
    let customer = || Some(CustomerId::parse("c-1").unwrap());
    let declined = Some("card_declined".into());
    let pay = PaymentRequest { method: PaymentMethod::Card, token: Some("tok_approve".into()) };
    let failed =
        PaymentResult { payment_id, result: PaymentOutcome::Failed, amount, currency, reason: declined };
    let fixtures = [
        (
            include_str!("../fixtures/orders-command-cancel.v1.txt"),
            customer(),
            "2026-03-01T09:10:00Z",
            Action::Cancel,
        ),
        (
            include_str!("../fixtures/orders-command-pay.v1.txt"),
            customer(),
            "2026-03-01T09:10:00Z",
            Action::Pay(pay),
        ),
        (
            include_str!("../fixtures/orders-command-payment-result.v1.txt"),
            None,
            "2026-03-01T09:10:01Z",
            Action::PaymentResult(failed),
        ),
        (
            include_str!("../fixtures/orders-command-refund.v1.txt"),
            customer(),
            "2026-03-01T12:10:00Z",
            Action::Refund,
        ),
        (
            include_str!("../fixtures/orders-command-refund-result.v1.txt"),
            None,
            "2026-03-01T12:10:01Z",
            Action::RefundResult(RefundResult { payment_id, amount, currency }),
        ),
        (
            include_str!("../fixtures/orders-command-deliver.v1.txt"),
            None,
            "2026-03-01T10:10:00Z",
            Action::Deliver(DeliveryChange { status: OrderStatus::Shipped }),
        ),
    ];
    for (text, customer_id, time, action) in fixtures {
        let fixture = Message::read(text);
        let command = Command { sale_id: sale(), order_id, customer_id, at: at(time), action };
        assert_eq!(fixture.record(), Record::Command(command.clone()));
        fixture.has_headers(Headers::without_epoch(RecordType::Command).encode());
        fixture.has_value(&command);
    }
}

#[test]
fn a_tick() {
    let fixture = Message::read(include_str!("../fixtures/orders-tick.v1.txt"));
    let tick = Tick { at: at("2026-03-01T10:00:01.5Z") };
    assert_eq!(fixture.record(), Record::Tick(tick));
    assert_eq!(tick.due_before(), at("2026-03-01T10:00:00.5Z"));
    fixture.has_headers(Headers::without_epoch(RecordType::Tick).encode());
    fixture.has_value(&tick);
}

#[test]
fn a_decision_about_a_dead_letter() {
    let fixture = Message::read(include_str!("../fixtures/orders-decision.v1.txt"));
    let decision = Decision { dead_letter_id: 7, verdict: Resolution::Replay };
    assert_eq!(fixture.record(), Record::Decision(decision));
    fixture.has_headers(Headers::without_epoch(RecordType::Decision).encode());
    fixture.has_value(&decision);
}

#[test]
fn a_published_sale() {
    let fixture = Message::read(include_str!("../fixtures/sales-publication.v1.txt"));
    let digest = |digit: &str| digit.repeat(40);
    let publication = SalePublication {
        sale_id: sale(),
        partition: 2,
        state: SaleState::Open,
        version: 7,
        epoch: Epoch(3),
        ready: true,
        terms: SaleTerms {
            title: "Spring sale".into(),
            currency: Currency::KRW,
            opens_at: Some(at("2026-03-01T09:00:00Z")),
            closes_at: None,
            max_orders_per_customer: Some(1),
            hold_seconds: 3600,
            delivery_fee: 3000,
            free_delivery_from: Some(50_000),
            discount_policies: vec![
                DiscountPolicy {
                    id: PolicyId::parse("ten-percent").unwrap(),
                    kind: DiscountKind::Percent,
                    value: 10,
                    min_total: 20_000,
                    max_discount: Some(15_000),
                },
                DiscountPolicy {
                    id: PolicyId::parse("thousand").unwrap(),
                    kind: DiscountKind::Amount,
                    value: 1000,
                    min_total: 0,
                    max_discount: None,
                },
            ],
            items: vec![
                Item {
                    sku: sku("CAP"),
                    name: "모자".into(),
                    price: 10_000,
                    total: Some(50),
                    max_quantity_per_order: 10,
                },
                Item {
                    sku: sku("MUG.blue"),
                    name: "Mug".into(),
                    price: 20_000,
                    total: None,
                    max_quantity_per_order: 5,
                },
            ],
        },
        scripts: Some(ScriptDigests {
            reserve: digest("1"),
            read_stock: digest("2"),
            find_orders: digest("3"),
            change_totals: digest("4"),
            ack_outbox: digest("5"),
            release: digest("6"),
        }),
        requires: 0,
    };
    assert_eq!(fixture.key, publication.key());
    let read = publication::decode(fixture.key.as_bytes(), Some(fixture.value.as_bytes())).unwrap();
    assert_eq!(read, SalesMessage::Sale(Box::new(publication.clone())));
    fixture.has_value(&publication);
}

#[test]
fn a_published_sale_without_an_epoch_has_no_scripts() {
    let fixture = Message::read(include_str!("../fixtures/sales-publication-draft.v1.txt"));
    let read = publication::decode(fixture.key.as_bytes(), Some(fixture.value.as_bytes())).unwrap();
    let SalesMessage::Sale(read) = read else { panic!("not a sale: {read:?}") };
    assert_eq!(
        (read.state, read.epoch, read.ready, &read.scripts),
        (SaleState::Draft, Epoch(0), false, &None)
    );
    assert_eq!(fixture.key, read.key());
    fixture.has_value(&read);
}

#[test]
fn heartbeats() {
    for (text, gateway, lost) in [
        (include_str!("../fixtures/sales-heartbeat.v1.txt"), "gateway-1", vec![(sale(), Epoch(3))]),
        (include_str!("../fixtures/sales-heartbeat-well.v1.txt"), "gateway-2", vec![]),
    ] {
        let fixture = Message::read(text);
        let heartbeat = Heartbeat { gateway: gateway.into(), lost };
        assert_eq!(fixture.key, heartbeat.key());
        let read = publication::decode(fixture.key.as_bytes(), Some(fixture.value.as_bytes())).unwrap();
        assert_eq!(read, SalesMessage::Heartbeat(heartbeat.clone()));
        fixture.has_value(&heartbeat);
    }
}

#[test]
fn a_position() {
    let fixture = Message::read(include_str!("../fixtures/sales-position.v1.txt"));
    let position =
        Position { partition: 2, next_offset: 70_368, settled_until: at("2026-03-01T09:00:00.250Z") };
    assert_eq!(fixture.key, position.key());
    let read = publication::decode(fixture.key.as_bytes(), Some(fixture.value.as_bytes())).unwrap();
    assert_eq!(read, SalesMessage::Position(position));
    fixture.has_value(&position);
}

#[test]
fn an_order_event() {
    let fixture = Message::read(include_str!("../fixtures/order-event.v1.txt"));
    let amounts = order_with_everything().amounts();
    let data = OrderEvent {
        order_id: order_with_everything().id,
        customer_id: order_with_everything().customer,
        sale_id: sale(),
        status: OrderStatus::Created,
        description: OrderStatus::Created.description(Language::English).into(),
        time: at("2026-03-01T09:00:00.250Z"),
        sequence: Sequence(42),
        subtotal: amounts.subtotal,
        discount: amounts.discount,
        delivery_fee: amounts.delivery_fee,
        total: amounts.total(),
        currency: Currency::KRW,
        cancel_reason: None,
    };
    assert_eq!(serde_json::from_str::<OrderEvent>(&fixture.value).unwrap(), data);
    let subject = data.order_id.to_string();
    assert_eq!(fixture.key, subject);
    fixture.has_headers(event::headers("2-17", &event::order_event_type(data.status), &subject, data.time));
    fixture.has_value(&data);
}

#[test]
fn an_inventory_event() {
    let fixture = Message::read(include_str!("../fixtures/inventory-event.v1.txt"));
    let data = InventoryEvent {
        sale_id: sale(),
        order_id: Some(order_with_everything().id.0),
        sku: sku("MUG.blue"),
        quantity: 4,
        time: at("2026-03-01T09:00:00.250Z"),
    };
    assert_eq!(serde_json::from_str::<InventoryEvent>(&fixture.value).unwrap(), data);
    let subject = format!("{}/{}", data.sale_id, data.sku);
    assert_eq!(fixture.key, subject);
    let id = format!("2-17-{}", data.sku);
    fixture.has_headers(event::headers(&id, Movement::Reserved.as_str(), &subject, data.time));
    fixture.has_value(&data);
}

/// Returns the cells of a table without its header.
/// Adds a member to every object, as a newer version may. `name` is the name of the value: an action is a variant of an
/// enumeration, whose object has exactly one member.
fn with_unknown_members(name: &str, value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(members) => {
            let mut all: serde_json::Map<_, _> = members
                .iter()
                .map(|(name, value)| (name.clone(), with_unknown_members(name, value)))
                .collect();
            if name != "action" {
                all.insert("added_later".into(), serde_json::json!({ "any": [1, "x"] }));
            }
            all.into()
        }
        serde_json::Value::Array(elements) => {
            elements.iter().map(|element| with_unknown_members("", element)).collect()
        }
        scalar => scalar.clone(),
    }
}

#[test]
fn members_that_a_newer_version_adds_are_ignored() {
    let extended = |fixture: &Message| {
        let value: serde_json::Value = serde_json::from_str(&fixture.value).unwrap();
        let extended = wire::encode(&with_unknown_members("", &value));
        assert!(extended.len() > fixture.value.len());
        extended
    };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("orders-") {
            let fixture = Message::read(&std::fs::read_to_string(&path).unwrap());
            let read = record::decode(&fixture.record_headers(), &extended(&fixture));
            assert_eq!(read.unwrap(), fixture.record(), "{name}");
            count += 1;
        } else if name.starts_with("sales-") {
            let fixture = Message::read(&std::fs::read_to_string(&path).unwrap());
            let decode = |value: &[u8]| publication::decode(fixture.key.as_bytes(), Some(value)).unwrap();
            assert_eq!(decode(&extended(&fixture)), decode(fixture.value.as_bytes()), "{name}");
            count += 1;
        }
    }
    assert!(count > 12, "{count} fixtures");
}

fn rows<const N: usize>(text: &'static str) -> Vec<[&'static str; N]> {
    let cells = |line: &'static str| {
        let cells: Vec<_> = line.split(',').collect();
        cells.try_into().unwrap_or_else(|_| panic!("{line}: not {N} cells"))
    };
    text.lines().skip(1).map(cells).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn order_receipts() {
    let live = OrderReceipt {
        id: order_id("019caa3f-8c7d-7def-92f4-9a5b9fe1b0c2"),
        digest: order_with_everything().digest,
        sequence: Sequence(42),
        accepted_at: at("2026-03-01T09:00:00.125Z"),
        hold_seconds: 600,
        amounts: Amounts { subtotal: 90_000, discount: 9000, delivery_fee: 3000 },
        live: true,
    };
    let cancelled = OrderReceipt { live: false, ..live };
    let expected = [("live", live), ("cancelled", cancelled)];
    let rows = rows::<2>(include_str!("../fixtures/remembered-order.v1.csv"));
    assert_eq!(rows.len(), expected.len());
    for ([name, packed], (expected_name, order)) in rows.into_iter().zip(expected) {
        assert_eq!(name, expected_name);
        assert_eq!(OrderReceipt::decode(&bytes(packed)), Some(order), "{name}");
        assert_eq!(packed, hex(&order.encode()), "{name}");
    }
}

#[test]
fn outbox_ids() {
    for [id, first, orders] in rows(include_str!("../fixtures/outbox-ids.v1.csv")) {
        let read = OutboxId::parse(id).unwrap();
        assert_eq!((read.first.to_string().as_str(), read.orders().to_string().as_str()), (first, orders));
        assert_eq!(read.to_string(), id);
        let made = match read.orders() {
            0 => OutboxId { first: read.first, low: read.low },
            orders => OutboxId::batch(read.first, orders),
        };
        assert_eq!(made, read);
    }
}

/// Values that Redis and Postgres store under a hash must be found by the next build.
#[test]
fn hashes_and_keys() {
    for [what, of, expected] in rows(include_str!("../fixtures/hashes-and-keys.v1.csv")) {
        let parts: Vec<_> = of.split(' ').collect();
        let actual = match (what, &*parts) {
            ("order_id", [sale, customer, key, ms, random]) => {
                let request = RequestFingerprint::compute(
                    &SaleId::parse(sale).unwrap(),
                    &CustomerId::parse(customer).unwrap(),
                    &IdempotencyKey::parse(key).unwrap(),
                );
                let id = OrderId::new(ms.parse().unwrap(), random.parse().unwrap(), request);
                assert_eq!(expected.parse::<OrderId>().unwrap().request(), request);
                id.to_string()
            }
            ("customer_hash", [customer]) => format!("{:016x}", customer_hash(customer)),
            ("buyer_field_limited" | "buyer_field", [customer, order]) => {
                let customer = CustomerId::parse(customer).unwrap();
                hex(&buyer_field(&customer, order_id(order).request(), what == "buyer_field_limited"))
            }
            ("sale_keys", [sale, epoch]) => {
                SaleKeys::new(&SaleId::parse(sale).unwrap(), Epoch(epoch.parse().unwrap())).all().join(" ")
            }
            _ => panic!("{what} of {of}: unknown to this test"),
        };
        assert_eq!(actual, expected, "{what} of {of}");
    }
}

/// A retry is compared with a digest that an older build may have stored.
#[test]
fn a_request_digest() {
    let request: OrderRequest =
        serde_json::from_str(include_str!("../fixtures/order-request.v1.json")).unwrap();
    let digest = wire::encode_text(&request.digest());
    assert_eq!(digest, "\"31da35205b8929d5\"");
}

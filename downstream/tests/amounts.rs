//! An order has the same amounts everywhere: in the response to the customer, in the replayed response from Redis, in
//! Postgres, in the wallet, on the event topic and in the report. And for every sequence of calls and events, the
//! provider refunds no more than it captured, and the aggregates of analytics add up.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::collections::HashMap;

use clap::Parser;
use contract::ids::SaleId;
use contract::lifecycle::{OrderStatus, Trigger};
use contract::money::{AMOUNT_MAX, Currency};
use contract::timestamp::Timestamp;
use downstream::analytics::increments::Increments;
use downstream::analytics::{self, AnalyticsSettings};
use downstream::provider::ledger::Ledger;
use downstream::provider::protocol::Charge;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::FileFailurePersistence;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Bench, Started};
use testkit::Client;
use testkit::claim_address;
use testkit::client::order_body;
use testkit::system::{Shape, System};
use uuid::Uuid;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    analytics: AnalyticsSettings,
}

/// Returns the subtotal, discount, fee and total of a document.
fn amounts(document: &Value) -> [u64; 4] {
    ["subtotal", "discount", "delivery_fee", "total"]
        .map(|name| document[name].as_u64().unwrap_or_else(|| panic!("{name} of {document}")))
}

fn discounted(lines: &[(&str, u32)], policy: Option<&str>) -> Value {
    let mut body = order_body(lines);
    body["payment"] = json!({"method": "wallet"});
    if let Some(policy) = policy {
        body["discount_policy_id"] = json!(policy);
    }
    body
}

async fn start_analytics(system: &System) -> Started {
    let bench = Bench::on(&system.database_url, &system.topic_prefix).await;
    let (host, listen) = (bench.host(), claim_address());
    let own = ["test", "--analytics-listen", &listen.to_string(), "--batch-wait-ms", "20"];
    let settings = Arguments::parse_from(own).analytics;
    let task_host = host.clone();
    Started::new(host, listen, async move { analytics::run(&task_host, settings).await.unwrap() }).await
}

/// The price of the most expensive item.
const DEAREST: u64 = contract::sale::PRICE_MAX;
/// The total of the most expensive order.
const HUGE: u64 = 9_000 * DEAREST;

fn terms() -> Value {
    let item = |sku: &str, price: u64| json!({"sku": sku, "name": sku, "price": price, "total": null, "max_quantity_per_order": 10_000});
    json!({
        "title": "Amounts", "currency": "KRW", "max_orders_per_customer": null, "hold_seconds": 3600,
        "delivery_fee": 3000, "free_delivery_from": 50_000,
        "discount_policies": [
            {"id": "tenth", "kind": "percent", "value": 10, "max_discount": 5000},
            {"id": "flat", "kind": "amount", "value": 7000, "min_total": 20_000},
            {"id": "gift", "kind": "percent", "value": 100},
        ],
        "items": [item("A", 10_000), item("B", 333), item("C", DEAREST)],
    })
}

/// Returns the bodies of orders, each with its expected amounts.
fn orders() -> [(Value, [u64; 4]); 8] {
    [
        (discounted(&[("A", 1), ("B", 1)], None), [10_333, 0, 3000, 13_333]),
        (discounted(&[("A", 1), ("B", 1)], Some("tenth")), [10_333, 1033, 3000, 12_300]), // rounds down
        (discounted(&[("A", 6)], Some("tenth")), [60_000, 5000, 0, 55_000]), // the greatest discount; free delivery
        (discounted(&[("A", 5), ("B", 1)], Some("tenth")), [50_333, 5000, 3000, 48_333]), // no free delivery after the discount
        (discounted(&[("A", 1), ("B", 1)], Some("flat")), [10_333, 0, 3000, 13_333]), // below the minimum total
        (discounted(&[("B", 3), ("A", 2)], Some("flat")), [20_999, 7000, 3000, 16_999]),
        (discounted(&[("A", 7)], Some("gift")), [70_000, 70_000, 3000, 3000]),
        (discounted(&[("C", 9_000)], None), [HUGE, 0, 0, HUGE]),
    ]
}

/// Asserts that the API, the admin API and Postgres have these amounts for an order that is paid.
async fn check_order(
    client: &Client,
    db: &tokio_postgres::Client,
    customer: &str,
    path: &str,
    expected: [u64; 4],
) {
    let order = testkit::eventually("the order is paid", async || {
        let order = client.get(customer, path).await.body;
        (order["status"] == "preparing").then_some(order)
    })
    .await;
    assert_eq!(amounts(&order), expected);
    assert_eq!(order["payment"]["amount"], expected[3]);
    let lines = order["lines"].as_array().unwrap().iter();
    let lines_total: u64 =
        lines.map(|line| line["quantity"].as_u64().unwrap() * line["unit_price"].as_u64().unwrap()).sum();
    assert_eq!(lines_total, expected[0], "{order}");
    let admin_view = client.admin(Method::GET, &format!("/admin{path}"), None).await.body;
    assert_eq!((amounts(&admin_view), &admin_view["payment"]["amount"]), (expected, &json!(expected[3])));
    let id = order["order_id"].as_str().unwrap();
    let select = "SELECT o.subtotal, o.discount, o.delivery_fee, o.total, p.amount, e.amount \
                    FROM customer_order o JOIN payment p USING (order_id) JOIN wallet_entry e USING (order_id) \
                   WHERE o.order_id = $1";
    let row = db.query_one(select, &[&id.parse::<Uuid>().unwrap()]).await.unwrap();
    assert_eq!([0, 1, 2, 3].map(|column| row.get::<_, i64>(column) as u64), expected);
    let total = expected[3] as i64;
    assert_eq!((row.get::<_, i64>(4), row.get::<_, i64>(5)), (total, -total));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_place_has_the_same_amounts() {
    let system = System::start(Shape { gateways: 2, ..Shape::default() }).await;
    let (client, other) = (system.gateway_client(0), system.gateway_client(1));
    let group = start_analytics(&system).await;
    let (sale, customer) = (testkit::fresh("amounts"), testkit::fresh("c"));
    client.open_sale(&sale, terms()).await;
    other.until_sale(&sale, "open", true).await;
    // The greatest balance of a wallet is the greatest total of an order.
    let credit = |key: &'static str, amount: u64| {
        let (client, customer) = (client.clone(), customer.clone());
        async move { client.credit(&customer, key, &json!({"amount": amount, "currency": "KRW"})).await }
    };
    assert_eq!(credit("all", AMOUNT_MAX).await.body["balance"], AMOUNT_MAX);
    let more = credit("more", 1).await;
    assert_eq!((more.status.as_u16(), more.code()), (422, "invalid_amount"), "{more:?}");
    assert_eq!(client.get(&customer, "/v1/wallet").await.body["balance"], AMOUNT_MAX);

    let (mut balance, mut accepted_orders) = (AMOUNT_MAX, vec![]);
    for (n, (body, expected)) in orders().iter().enumerate() {
        let key = format!("k{n}");
        let accepted = client.order_until_answered(&sale, &customer, &key, body).await;
        assert_eq!(amounts(&accepted.body), *expected, "{accepted:?}");
        // The other gateway replays the response from Redis.
        let again = other.order_until_answered(&sale, &customer, &key, body).await;
        assert!(again.replayed(), "{again:?}");
        assert_eq!(amounts(&again.body), *expected, "{again:?}");
        balance -= expected[3];
        accepted_orders.push((accepted.order_id(), *expected));
    }
    let too_much = client.order_until_answered(&sale, &customer, "k", &order_body(&[("C", 10_000)])).await;
    assert_eq!(too_much.code(), "invalid_order", "{too_much:?}");

    let db = system.database().await;
    for (id, expected) in &accepted_orders {
        let path = format!("/v1/sales/{sale}/orders/{id}");
        check_order(&client, &db, &customer, &path, *expected).await;
    }
    let mine = client.get(&customer, &format!("/v1/sales/{sale}/orders?limit=100")).await.body;
    for listed in mine["orders"].as_array().unwrap() {
        let (_, expected) = accepted_orders.iter().find(|(id, _)| listed["order_id"] == **id).unwrap();
        assert_eq!(listed["total"], expected[3], "{listed}");
    }
    assert_eq!(client.get(&customer, "/v1/wallet").await.body["balance"], balance);

    // The most expensive order is cancelled: its payment is refunded, and the report includes the refund.
    let captured: u64 = accepted_orders.iter().map(|(_, expected)| expected[3]).sum();
    let (last, _) = accepted_orders.last().unwrap();
    let path = format!("/v1/sales/{sale}/orders/{last}");
    assert_eq!(client.call(&customer, Method::DELETE, &path, None).await.status, 202);
    let revenue = json!({"captured": captured, "returned": HUGE, "net": captured - HUGE});
    testkit::until("the report agrees", async || {
        let report = client.admin(Method::GET, &format!("/admin/v1/sales/{sale}/report"), None).await.body;
        report["revenue"] == revenue
    })
    .await;
    assert_eq!(client.get(&customer, "/v1/wallet").await.body["balance"], balance + HUGE);
    group.stop().await;
}

/// A call of a merchant to the provider, for one of a few payments.
#[derive(Debug, Clone)]
enum Call {
    Charge { key: u8 },
    Cancel,
    Decide,
    Refund { key: u8, amount: u64 },
}

fn call() -> impl Strategy<Value = Call> {
    let amount = select(vec![0, 1, 499, 500, 501, 1000, 1001, AMOUNT_MAX]);
    prop_oneof![
        3 => (0u8..4).prop_map(|key| Call::Charge { key }),
        1 => Just(Call::Cancel),
        1 => Just(Call::Decide),
        4 => (0u8..8, amount).prop_map(|(key, amount)| Call::Refund { key, amount }),
    ]
}

/// Generates the total of an order and the triggers that are applied to it.
fn order_history() -> impl Strategy<Value = (u64, Vec<Trigger>)> {
    let total = prop_oneof![Just(0), Just(AMOUNT_MAX), 0u64..1_000_000];
    (total, proptest::collection::vec(select(&Trigger::ALL[..]), 0..60))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/amounts.txt"))), ..ProptestConfig::default() })]

    #[test]
    fn the_provider_refunds_no_more_than_it_captured(
        tokens in proptest::collection::vec(select(vec!["tok_approve", "tok_decline", "tok_late", "tok_timeout"]), 3),
        calls in proptest::collection::vec((0usize..3, call()), 0..60),
    ) {
        let (mut ledger, at) = (Ledger::new(1000), Timestamp(1_790_000_000_000));
        let sale_id: SaleId = "s".parse().unwrap();
        let charge = |n: usize| Charge {
            payment_id: Uuid::from_u128(n as u128),
            order_id: contract::ids::OrderId(Uuid::from_u128(n as u128)),
            sale_id: sale_id.clone(),
            amount: 1000,
            currency: Currency::KRW,
            token: Some(tokens[n].into()),
            callback_url: None,
        };
        let mut returned: HashMap<u8, (usize, u64)> = HashMap::new(); // the payment and amount of the first refund, by key
        for (n, call) in calls {
            let id = charge(n).payment_id;
            let event = match &call {
                Call::Charge { key } => ledger.charge(&format!("c{key}"), &charge(n), at),
                Call::Cancel => ledger.cancel(&charge(n), at),
                Call::Decide => Ok(ledger.decide(id, at)),
                Call::Refund { key, amount } => ledger.refund(id, &format!("r{key}"), *amount, Uuid::nil(), at),
            };
            if let Ok(Some(event)) = event {
                if let Call::Refund { key, amount } = call {
                    prop_assert_eq!(returned.insert(key, (n, amount)), None, "two refunds with one key");
                }
                ledger.apply(&event);
            }
            for entry in ledger.page(None, 0, 10).0 {
                prop_assert!(entry.refunded <= entry.captured, "{:?}", entry);
                let refunds = returned.values().filter(|(n, _)| charge(*n).payment_id == entry.payment_id);
                prop_assert_eq!(entry.refunded, refunds.map(|(_, amount)| amount).sum::<u64>());
            }
        }
    }

    #[test]
    fn the_aggregates_equal_the_money_of_paid_orders(
        histories in proptest::collection::vec(order_history(), 1..8),
        duplicates in proptest::collection::vec(any::<Index>(), 0..20),
    ) {
        let sale: SaleId = "s".parse().unwrap();
        let (mut events, mut captured, mut net) = (vec![], 0i64, 0i64);
        for (total, triggers) in histories {
            let (order, mut status) = (support::order(), OrderStatus::Processing);
            for trigger in triggers {
                let Ok(next) = status.next(trigger) else { continue };
                status = next;
                let event = support::event(order, &sale, status, Timestamp(1_790_000_000_000));
                events.push(contract::event::OrderEvent { total, ..event });
                captured += if status == OrderStatus::PaymentCompleted { total as i64 } else { 0 };
            }
            net += if status.is_paid() { total as i64 } else { 0 };
        }
        // Some events are delivered again, at once or much later.
        for duplicate in duplicates {
            if !events.is_empty() {
                events.push(duplicate.get(&events).clone());
            }
        }
        let mut increments = Increments::new(HashMap::new());
        events.iter().for_each(|event| increments.add(event));
        let counted = increments.sales.get(&sale).map_or((0, 0), |sale| (sale.captured, sale.captured - sale.returned));
        prop_assert_eq!(counted, (captured, net));
    }
}

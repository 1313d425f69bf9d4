//! End-to-end journeys that other shop systems offer, each named after the behaviour that it demonstrates. The
//! journey that follows the events is in `three_groups.rs`.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

use contract::webhook::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::system::{Shape, System};
use testkit::{Answer, Client, eventually, fresh, shared, until};

async fn credit(client: &Client, customer: &str, amount: u64) {
    let answer = client.credit(customer, &fresh("k"), &json!({"amount": amount, "currency": "KRW"})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Polls the status, as a shop's page does, until the order reaches a status. Returns the observed statuses with
/// their progress.
async fn poll(client: &Client, customer: &str, sale: &str, order: &str, status: &str) -> Vec<(String, u64)> {
    let path = format!("/v1/sales/{sale}/orders/{order}/status");
    let mut observed: Vec<(String, u64)> = Vec::new();
    until(&format!("{order} is {status}"), async || {
        let shown = client.get(customer, &path).await;
        assert_eq!(shown.status, 200, "{shown:?}");
        let at = shown.body["status"].as_str().unwrap().to_string();
        if observed.last().is_none_or(|(last, _)| *last != at) {
            observed.push((at.clone(), shown.body["progress_percentage"].as_u64().unwrap()));
        }
        at == status
    })
    .await;
    observed
}

async fn inventory(client: &Client, sale: &str) -> Vec<Value> {
    let path = format!("/admin/v1/sales/{sale}/inventory");
    client.admin(Method::GET, &path, None).await.body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn one_transaction_pays_and_ships_or_stores_while_the_customer_polls_and_retries() {
    let (client, other) = (shared().client(), shared().gateway_client(1));
    let (sale, customer) = (fresh("b"), fresh("c"));
    let mut terms = terms(&[("A", 1000, Some(10))]);
    terms["max_orders_per_customer"] = Value::Null;
    client.open_sale(&sale, terms).await;
    other.until_sale(&sale, "open", true).await;
    credit(&client, &customer, 5000).await;
    for (fulfilment, reached, kind) in [("ship", "preparing", "ship"), ("store", "in_warehouse", "store")] {
        let mut body = order_body(&[("A", 1)]);
        body["payment"] = json!({"method": "wallet"});
        body["fulfilment"] = json!(fulfilment);
        let order = client.order_until_answered(&sale, &customer, fulfilment, &body).await.order_id();
        let observed = poll(&client, &customer, &sale, &order, reached).await;
        assert!(observed.is_sorted_by_key(|(_, progress)| *progress), "{observed:?}");
        // The same order and the same payment again, at the other gateway.
        let again = other.order_until_answered(&sale, &customer, fulfilment, &body).await;
        assert!(again.replayed() && again.order_id() == order);
        let path = format!("/v1/sales/{sale}/orders/{order}");
        let pay = Some(json!({"method": "wallet"}));
        assert_eq!(other.call(&customer, Method::POST, &format!("{path}/payment"), pay).await.status, 202);
        let shown = client.get(&customer, &path).await.body;
        let paid = |status: &str| {
            let history = shown["history"].as_array().unwrap();
            history.iter().filter(|entry| entry["status"] == status).count()
        };
        assert_eq!((paid("payment_completed"), paid("preparing")), (1, 1), "{shown}");
        assert_eq!(
            (&shown["delivery"]["kind"], &shown["payment"]["status"]),
            (&json!(kind), &json!("captured"))
        );
    }
    assert_eq!(client.get(&customer, "/v1/wallet").await.body["balance"], 3000, "each order was paid once");
}

#[tokio::test]
async fn an_order_of_several_items_without_balance_releases_every_item() {
    let client = shared().client();
    let (sale, customer) = (fresh("c"), fresh("c"));
    let mut terms = terms(&[("A", 1000, Some(5)), ("B", 700, Some(5)), ("C", 10, None)]);
    terms["max_orders_per_customer"] = Value::Null;
    client.open_sale(&sale, terms).await;
    let full = inventory(&client, &sale).await;
    credit(&client, &customer, 3399).await; // one won short
    let mut body = order_body(&[("A", 2), ("B", 2)]);
    body["payment"] = json!({"method": "wallet"});
    let failed = client.order_until_answered(&sale, &customer, "k1", &body).await;
    assert_eq!(failed.body["total"], 3400);
    poll(&client, &customer, &sale, &failed.order_id(), "cancelled").await;
    let back = eventually("all units are released", async || {
        let items = inventory(&client, &sale).await;
        items.iter().all(|item| item["drift"] == 0 || item["drift"].is_null()).then_some(items)
    })
    .await;
    assert_eq!(back, full, "each unit of each item");
    let wallet = client.get(&customer, "/v1/wallet").await.body;
    assert_eq!((&wallet["balance"], wallet["entries"].as_array().unwrap().len()), (&json!(3399), 1));

    credit(&client, &customer, 1).await;
    let paid = client.order_until_answered(&sale, &customer, "k2", &body).await.order_id();
    poll(&client, &customer, &sale, &paid, "preparing").await;
    assert_eq!(client.get(&customer, "/v1/wallet").await.body["balance"], 0);
    let sold: Vec<_> = inventory(&client, &sale).await.iter().map(|item| item["sold"].clone()).collect();
    assert_eq!(sold, [json!(2), json!(2), json!(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scarce_units_sell_once_with_discount_and_fee_and_a_cancellation_frees_a_unit() {
    const SKU: &str = "PRD_240701120000001_0001_101";
    let (client, other) = (shared().client(), shared().gateway_client(1));
    let sale = fresh("d");
    let mut terms = terms(&[(SKU, 12_345, Some(10))]);
    terms["delivery_fee"] = json!(3000);
    terms["free_delivery_from"] = json!(50_000);
    terms["discount_policies"] = json!([{"id": "ten", "kind": "percent", "value": 10, "min_total": 0}]);
    client.open_sale(&sale, terms).await;
    other.until_sale(&sale, "open", true).await;
    // 12,345 minus 1,234 (10 %, rounded down) plus 3,000 for the delivery.
    let mut body = order_body(&[(SKU, 1)]);
    body["discount_policy_id"] = json!("ten");
    body["expected_total"] = json!(14_110);
    let wrong = client.order(&sale, "wrong", "k", &body).await;
    assert_eq!((wrong.code(), &wrong.body["total"]), ("total_mismatch", &json!(14_111)));
    body["expected_total"] = json!(14_111);

    let orders = (0..40).map(|n| {
        let (client, sale, body) =
            (if n % 2 == 0 { &client } else { &other }.clone(), sale.clone(), body.clone());
        tokio::spawn(async move {
            let customer = format!("c{n}");
            let answer = client.order_until_answered(&sale, &customer, "k", &body).await;
            (customer, answer)
        })
    });
    let (mut sold, mut refused) = (Vec::new(), 0);
    for order in orders.collect::<Vec<_>>() {
        let (customer, answer) = order.await.unwrap();
        match answer.status.as_u16() {
            202 => sold.push((customer, answer)),
            _ => {
                assert_eq!(answer.code(), "sold_out", "{answer:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((sold.len(), refused), (10, 30));
    for (_, answer) in &sold {
        let amounts =
            ["subtotal", "discount", "delivery_fee", "total"].map(|name| answer.body[name].as_u64().unwrap());
        assert_eq!(amounts, [12_345, 1_234, 3_000, 14_111]);
    }
    let (customer, cancelled) = &sold[0];
    let path = format!("/v1/sales/{sale}/orders/{}", cancelled.order_id());
    assert_eq!(other.call(customer, Method::DELETE, &path, None).await.status, 202);
    until("another customer gets the unit", async || {
        client.order(&sale, "patient", "k", &body).await.status == 202
    })
    .await;
    assert_eq!(client.order_until_answered(&sale, "late", "k", &body).await.code(), "sold_out");
    let item = eventually("the stock is at rest", async || {
        let item = inventory(&client, &sale).await[0].clone();
        (item["drift"] == 0 && item["held"] == 10).then_some(item)
    })
    .await;
    assert_eq!((&item["database_available"], &item["redis_available"]), (&json!(0), &json!(0)));
}

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1wYXltZW50LXByb3ZpZGVy";

/// Sends the provider's signed callback about the payment of an order.
async fn send_provider_callback(
    client: &Client,
    customer: &str,
    sale: &str,
    order: &str,
    result: &str,
) -> Answer {
    let shown = client.get(customer, &format!("/v1/sales/{sale}/orders/{order}")).await.body;
    let callback = json!({"payment_id": shown["payment"]["payment_id"], "order_id": order, "sale_id": sale,
                      "result": result, "amount": shown["total"], "currency": "KRW"});
    let (body, id, timestamp) = (callback.to_string(), fresh("msg"), process::walltime::now().0 / 1000);
    let signature = Secret::parse(SECRET).unwrap().sign(&id, timestamp, body.as_bytes());
    let request =
        client.request(Method::POST, "/v1/payments/callback").header("content-type", "application/json");
    let request = request.header("webhook-id", id).header("webhook-timestamp", timestamp.to_string());
    client.send(request.header("webhook-signature", signature).body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_concurrent_customers_order_pay_by_callback_and_receive_delivery() {
    let gateway_args = vec!["--payment-webhook-secret".into(), SECRET.into()];
    let system = System::start(Shape { gateway_args, ..Shape::default() }).await;
    let client = system.client();
    let sale = fresh("e");
    client
        .open_sale(&sale, terms(&[("A", 10_000, Some(50)), ("B", 20_000, Some(30)), ("C", 5000, None)]))
        .await;
    let orders = (0..10).map(|n| {
        let (client, sale) = (client.clone(), sale.clone());
        tokio::spawn(async move {
            let customer = format!("c{n}");
            let mut body = order_body(&[("A", 2), ("B", 1), ("C", 3)]);
            body["payment"] = json!({"method": "card", "token": "tok"});
            let answer = client.order_until_answered(&sale, &customer, "k", &body).await;
            assert_eq!((answer.status.as_u16(), &answer.body["total"]), (202, &json!(55_000)), "{answer:?}");
            (customer, answer.order_id())
        })
    });
    let mut placed = Vec::new();
    for order in orders.collect::<Vec<_>>() {
        placed.push(order.await.unwrap());
    }
    // Nine of ten payments succeed. Each callback is sent twice.
    for (n, (customer, order)) in placed.iter().enumerate() {
        poll(&client, customer, &sale, order, "payment_requested").await;
        let (result, reached) = if n == 9 { ("failed", "cancelled") } else { ("succeeded", "preparing") };
        for _ in 0..2 {
            assert_eq!(send_provider_callback(&client, customer, &sale, order, result).await.status, 200);
        }
        poll(&client, customer, &sale, order, reached).await;
    }
    let (customer, order) = &placed[0];
    let delivery = format!("/v1/sales/{sale}/orders/{order}/delivery");
    for status in ["shipped", "in_transit", "delivered"] {
        let path = format!("/admin{delivery}");
        let moved = client.admin(Method::PATCH, &path, Some(&json!({ "status": status }))).await;
        assert_eq!(moved.status, 202, "{moved:?}");
        poll(&client, customer, &sale, order, status).await;
        assert_eq!(client.get(customer, &delivery).await.body["status"], status);
    }
    let items = eventually("the units of the failed payment are released", async || {
        let items = inventory(&client, &sale).await;
        (items[0]["drift"] == 0 && items[1]["drift"] == 0).then_some(items)
    })
    .await;
    let units = |item: &Value| {
        ["database_available", "redis_available", "held", "sold"].map(|name| item[name].as_i64())
    };
    assert_eq!(units(&items[0]), [Some(32), Some(32), Some(0), Some(18)]);
    assert_eq!(units(&items[1]), [Some(21), Some(21), Some(0), Some(9)]);
    assert_eq!(units(&items[2]), [None, None, Some(0), Some(27)]);
}

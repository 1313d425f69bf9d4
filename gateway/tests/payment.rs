//! What customers and operators do with an accepted order: pay, cancel, refund, and follow it.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::system::{Shape, System};
use testkit::{Client, fresh, shared};

async fn until_status(client: &Client, customer: &str, path: &str, status: &str) -> Value {
    testkit::eventually(&format!("{path} is {status}"), async || {
        let shown = client.get(customer, path).await;
        (shown.body["status"] == status).then_some(shown.body)
    })
    .await
}

async fn inventory(client: &Client, sale: &str) -> Value {
    let path = format!("/admin/v1/sales/{sale}/inventory");
    client.admin(Method::GET, &path, None).await.body["items"][0].clone()
}

#[tokio::test]
async fn a_wallet_pays_an_order_that_is_shipped_delivered_and_refunded() {
    let fast = ["--delivery-ship-after", "0", "--delivery-scan-after", "0", "--delivery-deliver-after", "1"];
    let settlement_args = fast.map(String::from).to_vec();
    let system = System::start(Shape { settlement_args, ..Shape::default() }).await;
    let client = system.client();
    let (sale, customer) = (fresh("pay"), fresh("c"));
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    let gift = json!({"amount": 2500, "currency": "KRW"});
    let credited = client.credit(&customer, "gift", &gift).await;
    assert_eq!((credited.status.as_u16(), &credited.body["balance"]), (201, &json!(2500)));
    assert_eq!(client.credit(&customer, "gift", &gift).await.body["balance"], 2500, "one credit per key");
    let other = client.credit(&customer, "gift", &json!({"amount": 1, "currency": "KRW"})).await;
    assert_eq!(other.code(), "idempotency_key_reused");
    for (bad, code) in [
        (json!({"amount": 0, "currency": "KRW"}), "invalid_amount"),
        (json!({"amount": 1, "currency": "gift"}), "malformed_request"),
        (json!({"amount": 1, "currency": "KRW", "more": 1}), "malformed_request"),
    ] {
        assert_eq!(client.credit(&customer, "bad", &bad).await.code(), code);
    }

    let id = client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 2)])).await.order_id();
    let path = format!("/v1/sales/{sale}/orders/{id}");
    let wallet = || Some(json!({"method": "wallet"}));
    let paid = client.call(&customer, Method::POST, &format!("{path}/payment"), wallet()).await;
    assert_eq!((paid.status.as_u16(), &paid.body["command"]), (202, &json!("pay")), "{paid:?}");
    let again = client.call(&customer, Method::POST, &format!("{path}/payment"), wallet()).await;
    assert_eq!(
        (again.status.as_u16(), &again.body),
        (202, &paid.body),
        "the same response to a repeated command"
    );

    let delivered = until_status(&client, &customer, &path, "delivered").await;
    let statuses: Vec<_> =
        delivered["history"].as_array().unwrap().iter().map(|h| h["status"].as_str().unwrap()).collect();
    let path_to_delivery = [
        "created",
        "payment_requested",
        "payment_completed",
        "preparing",
        "shipped",
        "in_transit",
        "delivered",
    ];
    let transitions: Vec<_> =
        statuses.iter().filter(|status| path_to_delivery.contains(status)).copied().collect();
    assert!(
        transitions.starts_with(&path_to_delivery[..4]) && transitions.ends_with(&["delivered"]),
        "{statuses:?}"
    );
    assert_eq!(
        (&delivered["payment"]["status"], &delivered["payment"]["amount"]),
        (&json!("captured"), &json!(2000))
    );
    assert_eq!((&delivered["can_cancel"], &delivered["progress_percentage"]), (&json!(false), &json!(100)));
    let delivery = client.get(&customer, &format!("{path}/delivery")).await.body;
    let tracking = delivery["tracking_number"].as_str().unwrap();
    assert!(tracking.starts_with(&format!("TRACK-{id}-")), "{tracking}");
    for member in ["delivery_id", "courier", "started_at", "shipped_at", "completed_at", "estimated_arrival"]
    {
        assert!(delivery[member].is_string(), "{member} of {delivery}");
    }
    assert_eq!((&delivery["status"], &delivery["order_id"]), (&json!("delivered"), &json!(id)));
    let wallet = client.get(&customer, "/v1/wallet").await.body;
    assert_eq!((&wallet["balance"], &wallet["currency"]), (&json!(500), &json!("KRW")));
    let entries: Vec<_> = wallet["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["amount"].as_i64().unwrap(), e["reason"].as_str().unwrap().to_string()))
        .collect();
    assert_eq!(entries, [(-2000, "payment".to_string()), (2500, "credit".to_string())]);

    let late = client.call(&customer, Method::DELETE, &path, None).await;
    assert_eq!((late.code(), &late.body["order_status"]), ("illegal_move", &json!("delivered")));
    let stock = inventory(&client, &sale).await;
    assert_eq!((&stock["held"], &stock["sold"], &stock["drift"]), (&json!(0), &json!(2), &json!(0)));
    for _ in 0..2 {
        let refund = client.call(&customer, Method::POST, &format!("{path}/refund"), None).await;
        assert_eq!((refund.status.as_u16(), &refund.body["command"]), (202, &json!("refund")), "{refund:?}");
    }
    let refunded = until_status(&client, &customer, &path, "refunded").await;
    assert_eq!(refunded["payment"]["status"], "refunded");
    assert_eq!(client.get(&customer, "/v1/wallet").await.body["balance"], 2500);
    assert_eq!(inventory(&client, &sale).await["sold"], 2, "shipped units stay sold");
}

/// Order states are read in batches: each command is checked against its own order, whatever the batch contains.
#[tokio::test]
async fn in_a_burst_of_payments_each_command_is_checked_against_its_own_order() {
    let client = shared().client();
    let sales = [fresh("burst"), fresh("burst")];
    for sale in &sales {
        client.open_sale(sale, terms(&[("A", 1000, None)])).await;
    }
    let orders = futures_util::future::join_all((0..60).map(async |n| {
        let (sale, customer) = (&sales[n % 2], fresh("c"));
        let id = client.order_until_answered(sale, &customer, "k", &order_body(&[("A", 1)])).await.order_id();
        client.until_settled(sale, &customer, &id).await;
        (sale, customer, id)
    }));
    let orders = orders.await;
    let card = || Some(json!({"method": "card"}));
    let pay = async |sale: &str, customer: &str, id: &str| {
        let path = format!("/v1/sales/{sale}/orders/{id}/payment");
        client.call(customer, Method::POST, &path, card()).await
    };
    let answers =
        futures_util::future::join_all(orders.iter().enumerate().map(async |(n, (sale, customer, id))| {
            let (other_sale, other) = (&sales[(n + 1) % 2], fresh("c"));
            let nowhere = uuid::Uuid::now_v7().to_string();
            tokio::join!(
                pay(sale, customer, id),
                pay(sale, &other, id),
                pay(other_sale, customer, id),
                pay(sale, customer, &nowhere)
            )
        }));
    for (own, foreign, elsewhere, unknown) in answers.await {
        assert_eq!((own.status.as_u16(), &own.body["command"]), (202, &json!("pay")), "{own:?}");
        for refused in [foreign, elsewhere, unknown] {
            assert_eq!((refused.status.as_u16(), refused.code()), (404, "not_found"), "{refused:?}");
        }
    }
    for (sale, customer, id) in &orders {
        until_status(&client, customer, &format!("/v1/sales/{sale}/orders/{id}"), "payment_requested").await;
    }
}

#[tokio::test]
async fn an_order_with_an_uncovered_payment_is_cancelled_and_its_units_are_sold_again() {
    let client = shared().client();
    let (sale, customer) = (fresh("poor"), fresh("c"));
    client.open_sale(&sale, terms(&[("A", 1000, Some(1))])).await;
    let mut body = order_body(&[("A", 1)]);
    body["payment"] = json!({"method": "wallet"});
    let id = client.order_until_answered(&sale, &customer, "k", &body).await.order_id();
    let shown = until_status(&client, &customer, &format!("/v1/sales/{sale}/orders/{id}"), "cancelled").await;
    assert_eq!(
        (&shown["cancel_reason"], &shown["payment"]["status"]),
        (&json!("payment_failed"), &json!("failed"))
    );
    assert_eq!(shown["payment"]["reason"], "insufficient_balance");
    let nothing = client.get(&customer, &format!("/v1/sales/{sale}/orders/{id}/delivery")).await;
    assert_eq!(nothing.code(), "not_found");
    testkit::until("the unit is sold again", async || {
        client.order(&sale, &fresh("c"), "k", &order_body(&[("A", 1)])).await.status == 202
    })
    .await;
    let empty = client.get(&customer, "/v1/wallet").await.body;
    assert_eq!(empty, json!({"balance": 0, "currency": "KRW", "entries": []}));
}

#[tokio::test]
async fn transitions_that_the_lifecycle_does_not_allow_are_refused_at_once() {
    let client = shared().client();
    let (sale, customer) = (fresh("refused"), fresh("c"));
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    let id = client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await.order_id();
    let path = format!("/v1/sales/{sale}/orders/{id}");
    client.until_settled(&sale, &customer, &id).await;
    let pay = |body: Value| {
        let (client, customer, path) = (client.clone(), customer.clone(), format!("{path}/payment"));
        async move { client.call(&customer, Method::POST, &path, Some(body)).await }
    };
    assert_eq!(
        client.call(&customer, Method::POST, &format!("{path}/refund"), None).await.code(),
        "illegal_move"
    );
    assert_eq!(pay(json!({"method": "cash"})).await.code(), "malformed_request");
    assert_eq!(pay(json!({"method": "card", "tip": 1})).await.code(), "malformed_request");
    assert_eq!(pay(json!({"method": "card", "token": "a\u{7}b"})).await.code(), "invalid_payment");
    let stranger = client
        .call("stranger", Method::POST, &format!("{path}/payment"), Some(json!({"method": "card"})))
        .await;
    assert_eq!(stranger.code(), "not_found");
    // The card payment is requested, and no provider responds here. Another method is refused now; a cancellation
    // is not.
    assert_eq!(pay(json!({"method": "card", "token": "t"})).await.status, 202);
    until_status(&client, &customer, &path, "payment_requested").await;
    assert_eq!(pay(json!({"method": "wallet"})).await.code(), "illegal_move");
    assert_eq!(client.call(&customer, Method::DELETE, &path, None).await.status, 202);
    until_status(&client, &customer, &path, "cancelled").await;
    assert_eq!(pay(json!({"method": "card", "token": "t"})).await.code(), "illegal_move");
}

#[tokio::test]
async fn an_operator_finds_orders_and_advances_their_deliveries() {
    let client = shared().client();
    let (sale, customer) = (fresh("goods"), fresh("c"));
    let mut terms = terms(&[("A", 1000, Some(5))]);
    terms["max_orders_per_customer"] = Value::Null;
    client.open_sale(&sale, terms).await;
    client.credit(&customer, "k", &json!({"amount": 1000, "currency": "KRW"})).await;
    let mut body = order_body(&[("A", 1)]);
    body["payment"] = json!({"method": "wallet"});
    let paid = client.order_until_answered(&sale, &customer, "k1", &body).await.order_id();
    let open = client.order_until_answered(&sale, &customer, "k2", &order_body(&[("A", 1)])).await.order_id();
    until_status(&client, &customer, &format!("/v1/sales/{sale}/orders/{paid}"), "preparing").await;
    client.until_settled(&sale, &customer, &open).await;

    let base = format!("/admin/v1/sales/{sale}/orders");
    let found = async |query: &str| {
        let answer = client.admin(Method::GET, &format!("{base}{query}"), None).await;
        let ids = answer.body["orders"].as_array().unwrap_or_else(|| panic!("{answer:?}")).iter();
        (
            ids.map(|o| o["order_id"].as_str().unwrap().to_string()).collect::<Vec<_>>(),
            answer.body["next_cursor"].clone(),
        )
    };
    assert_eq!(found("").await, (vec![open.clone(), paid.clone()], Value::Null));
    assert_eq!(found("?status=preparing").await.0, std::slice::from_ref(&paid));
    assert_eq!(found("?customer=unknown").await.0, Vec::<String>::new());
    let (first, cursor) = found(&format!("?customer={customer}&limit=1")).await;
    let next = found(&format!("?limit=1&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!((first, next.0), (vec![open.clone()], vec![paid.clone()]));
    let wrong = client.admin(Method::GET, &format!("{base}?status=lost"), None).await;
    assert_eq!(wrong.code(), "malformed_request");
    let one = client.admin(Method::GET, &format!("{base}/{paid}"), None).await.body;
    assert_eq!((&one["customer_id"], &one["payment"]["method"]), (&json!(customer), &json!("wallet")));

    let patch = async |order: &str, status: &str| {
        let path = format!("{base}/{order}/delivery");
        client.admin(Method::PATCH, &path, Some(&json!({ "status": status }))).await
    };
    assert_eq!(patch(&open, "shipped").await.code(), "illegal_move");
    assert_eq!(patch(&paid, "lost").await.code(), "malformed_request");
    assert_eq!(patch(&paid, "refunded").await.code(), "illegal_move");
    let moved = patch(&paid, "in_transit").await;
    assert_eq!((moved.status.as_u16(), &moved.body["command"]), (202, &json!("deliver")));
    let path = format!("/v1/sales/{sale}/orders/{paid}");
    let shown = until_status(&client, &customer, &path, "in_transit").await;
    let last: Vec<_> =
        shown["history"].as_array().unwrap().iter().rev().take(2).map(|h| &h["status"]).collect();
    assert_eq!(last, [&json!("in_transit"), &json!("shipped")], "through the intermediate states");
    assert_eq!(patch(&paid, "in_transit").await.status, 202, "the delivery already has this status");
    assert_eq!(patch(&paid, "shipped").await.code(), "illegal_move");
}

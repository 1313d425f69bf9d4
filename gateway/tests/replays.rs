//! Idempotency: repeating a request returns the first response, whatever has happened since.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::{fresh, shared};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_customer_whose_202_was_lost_gets_it_again_after_sell_out_pause_and_close() {
    let (client, other) = (shared().client(), shared().gateway_client(1));
    let sale = fresh("replay");
    client.open_sale(&sale, terms(&[("A", 1000, Some(1))])).await;
    other.until_sale(&sale, "open", true).await;
    let body = order_body(&[("A", 1)]);
    let first = client.order_until_answered(&sale, "buyer", "key", &body).await;
    assert_eq!(first.status, 202, "{:?}", first.body);

    // Sold out: the gateways refuse from their stock cache, which must never affect the buyer.
    for gateway in [&client, &other] {
        testkit::until("the sale is shown sold out", async || {
            gateway.get("x", &format!("/v1/sales/{sale}")).await.body["items"][0]["remaining"] == 0
        })
        .await;
        for i in 0..20 {
            let refused = gateway.order_until_answered(&sale, &format!("late-{i}"), "key", &body).await;
            assert_eq!(refused.code(), "sold_out");
            let again = gateway.order_until_answered(&sale, "buyer", "key", &body).await;
            assert_eq!((again.status.as_u16(), again.replayed(), &again.body), (202, true, &first.body));
        }
    }
    for (action, state) in [("pause", "paused"), ("close", "closed")] {
        client.admin(Method::POST, &format!("/admin/v1/sales/{sale}/{action}"), None).await;
        for gateway in [&client, &other] {
            gateway.until_sale(&sale, state, true).await;
            let again = gateway.order_until_answered(&sale, "buyer", "key", &body).await;
            assert_eq!(
                (again.status.as_u16(), again.replayed(), &again.body),
                (202, true, &first.body),
                "{state}"
            );
        }
    }
}

#[tokio::test]
async fn white_space_and_member_order_do_not_change_the_request() {
    let client = shared().client();
    let sale = fresh("canonical");
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    let send = async |body: &'static str| {
        // A busy machine may respond with 503, which does not depend on the body.
        testkit::eventually("a response other than 503", async || {
            let request = client.request(Method::POST, &format!("/v1/sales/{sale}/orders"));
            let request = request
                .bearer_auth("dev:c")
                .header("Idempotency-Key", "k")
                .header("Content-Type", "application/json");
            let answer = client.send(request.body(body)).await;
            (answer.status != 503).then_some(answer)
        })
        .await
    };
    let first = send(r#"{"items":[{"sku":"A","quantity":1}],"fulfilment":"store"}"#).await;
    assert_eq!(first.status, 202, "{:?}", first.body);
    let again = send(r#"{ "fulfilment" : "store", "items" : [ { "quantity" : 1, "sku" : "A" } ] }"#).await;
    assert_eq!((again.status.as_u16(), again.replayed(), &again.body), (202, true, &first.body));
    assert_eq!(
        send(r#"{"items":[{"sku":"A","quantity":2}],"fulfilment":"store"}"#).await.code(),
        "idempotency_key_reused"
    );
}

#[tokio::test]
async fn prices_that_change_do_not_change_the_first_answer() {
    let client = shared().client();
    let sale = fresh("price");
    let mut sold_by = terms(&[("A", 1000, Some(5))]);
    client.open_sale(&sale, sold_by.clone()).await;
    let first = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await;
    sold_by["items"][0]["price"] = json!(9000);
    sold_by["hold_seconds"] = json!(60);
    let changed = client.admin(Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(&sold_by)).await;
    assert_eq!(changed.status, 200, "{:?}", changed.body);
    testkit::until("the new price is shown", async || {
        client.get("c", &format!("/v1/sales/{sale}")).await.body["items"][0]["price"] == 9000
    })
    .await;
    let again = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await;
    assert_eq!((again.status.as_u16(), &again.body), (202, &first.body));
    let new = client.order_until_answered(&sale, "d", "k", &order_body(&[("A", 1)])).await;
    assert_eq!(new.body["total"], 9000, "{:?}", new.body);
}

#[tokio::test]
async fn a_client_that_disconnects_after_sending_finds_its_order_at_the_other_gateway() {
    let (client, other) = (shared().client(), shared().gateway_client(1));
    let sale = fresh("hang-up");
    client.open_sale(&sale, terms(&[("A", 1000, Some(50))])).await;
    other.until_sale(&sale, "open", true).await;
    let address = shared().gateways[0].0.strip_prefix("http://").unwrap().to_string();
    let body = order_body(&[("A", 1)]);
    for i in 0..50 {
        let customer = format!("c{i}");
        let text = body.to_string();
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let request = format!(
            "POST /v1/sales/{sale}/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dev:{customer}\r\n\
             Idempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        drop(socket); // disconnected before any response
        let answer = other.order_until_answered(&sale, &customer, "k", &body).await;
        assert_eq!(answer.status, 202, "{:?}", answer.body);
        let settled = other.until_settled(&sale, &customer, &answer.order_id()).await;
        assert_eq!(settled["sequence"], answer.body["sequence"]);
    }
    let rows = shared()
        .database()
        .await
        .query_one("SELECT count(*) FROM customer_order WHERE sale_id = $1", &[&sale])
        .await;
    assert_eq!(rows.unwrap().get::<_, i64>(0), 50, "one order per customer, whichever request made it");
}

#[tokio::test]
async fn concurrent_requests_with_one_key_at_both_gateways_make_one_order() {
    let (client, other) = (shared().client(), shared().gateway_client(1));
    let sale = fresh("twice");
    client.open_sale(&sale, terms(&[("A", 1000, Some(500))])).await;
    other.until_sale(&sale, "open", true).await;
    let body = order_body(&[("A", 1)]);
    let pairs = (0..100).map(|i| {
        let (client, other, sale, body) = (client.clone(), other.clone(), sale.clone(), body.clone());
        tokio::spawn(async move {
            let customer = format!("c{i}");
            tokio::join!(
                client.order_until_answered(&sale, &customer, "k", &body),
                other.order_until_answered(&sale, &customer, "k", &body)
            )
        })
    });
    for pair in pairs.collect::<Vec<_>>() {
        let (first, second) = pair.await.unwrap();
        let statuses = (first.status.as_u16(), second.status.as_u16());
        assert_eq!(statuses, (202, 202), "{:?} {:?}", first.body, second.body);
        assert_eq!(first.body, second.body);
        // Both are replays if the first request got no 202 and had to be retried.
        assert!(first.replayed() || second.replayed(), "at most one of them is the original response");
    }
}

#[tokio::test]
async fn without_a_limit_a_customer_may_order_often_and_each_key_has_its_own_order() {
    let client = shared().client();
    let sale = fresh("unlimited");
    let mut sold_by = terms(&[("A", 10, None), ("B", 10, Some(100))]);
    sold_by["max_orders_per_customer"] = json!(null);
    client.open_sale(&sale, sold_by).await;
    let mut orders = vec![];
    for i in 0..30 {
        let answer = client
            .order_until_answered(&sale, "c", &format!("k{i}"), &order_body(&[("A", 3), ("B", 1)]))
            .await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["sequence"]),
            (202, &json!(i + 1)),
            "{:?}",
            answer.body
        );
        // Immediately after the 202 every gateway returns the order, settled or not.
        let shown = shared()
            .gateway_client(1)
            .get("c", &format!("/v1/sales/{sale}/orders/{}", answer.order_id()))
            .await;
        assert!(shown.status == 200 || shown.status == 503, "{:?}", shown.body);
        orders.push(answer);
    }
    for (i, first) in orders.iter().enumerate() {
        let again = client
            .order_until_answered(&sale, "c", &format!("k{i}"), &order_body(&[("A", 3), ("B", 1)]))
            .await;
        assert_eq!((&again.body, again.replayed()), (&first.body, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_its_first_answer_although_the_terms_have_changed() {
    let client = shared().client();
    let sale = fresh("terms");
    let path = format!("/admin/v1/sales/{sale}");
    let changed = |price: u64, quantity_max: u32, skus: &[&str]| {
        let items: Vec<_> = skus
            .iter()
            .map(|sku| {
                json!({"sku": sku, "name": sku, "price": price, "total": 50, "max_quantity_per_order": quantity_max})
            })
            .collect();
        json!({"title": "T", "currency": "KRW", "items": items})
    };
    client.open_sale(&sale, changed(1000, 10, &["A", "B"])).await;
    let mut body = order_body(&[("A", 3)]);
    body["expected_total"] = json!(3000);
    let first = client.order_until_answered(&sale, "c", "k", &body).await;
    assert_eq!(first.status, 202, "{first:?}");

    // The price, the limit of units, and the items: each would refuse the request.
    let terms = [
        (changed(1100, 10, &["A", "B"]), "total_mismatch"),
        (changed(1000, 2, &["A", "B"]), "invalid_order"),
        (changed(1000, 10, &["B"]), "unknown_sku"),
    ];
    for (terms, refusal) in terms {
        let answer = client.admin(Method::PUT, &path, Some(&terms)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        testkit::until("the terms are in force", async || {
            let shown = client.get("c", &format!("/v1/sales/{sale}")).await.body;
            let items = terms["items"].as_array().expect("items");
            let is_shown = |(shown, item): (&Value, &Value)| {
                ["sku", "price", "max_quantity_per_order"].iter().all(|field| shown[*field] == item[*field])
            };
            let shown_items = shown["items"].as_array().expect("items");
            shown["ready"] == true
                && shown_items.len() == items.len()
                && shown_items.iter().zip(items).all(is_shown)
        })
        .await;
        let other = client.order_until_answered(&sale, "c", "other", &body).await;
        assert_eq!((other.status.as_u16(), other.code()), (422, refusal), "{other:?}");
        let repeat = client.order_until_answered(&sale, "c", "k", &body).await;
        assert_eq!(
            (repeat.status.as_u16(), repeat.order_id()),
            (202, first.order_id()),
            "{refusal}: {repeat:?}"
        );
        assert!(repeat.replayed(), "{repeat:?}");
        assert_eq!(repeat.body["total"], first.body["total"]);
        let mut reused = body.clone();
        reused["items"][0]["quantity"] = json!(4);
        let reused = client.order_until_answered(&sale, "c", "k", &reused).await;
        assert_eq!((reused.status.as_u16(), reused.code()), (422, "idempotency_key_reused"), "{refusal}");
    }
    let orders = client.admin(Method::GET, &format!("{path}/orders?customer=c"), None).await;
    assert_eq!(orders.body["orders"].as_array().map(Vec::len), Some(1), "{orders:?}");
}

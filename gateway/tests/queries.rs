//! The queries of customers: sales, availability, and their orders.

use reqwest::Method;
use serde_json::json;
use testkit::client::{order_body, terms};
use testkit::{fresh, shared};

#[tokio::test]
async fn a_sale_is_returned_as_documented_and_an_unchanged_one_gets_304() {
    let client = shared().client();
    let sale = fresh("shown");
    let mut sold_by = terms(&[("A", 1000, Some(7)), ("U", 10, None)]);
    sold_by["delivery_fee"] = json!(300);
    sold_by["free_delivery_from"] = json!(5000);
    sold_by["discount_policies"] =
        json!([{"id": "TEN", "kind": "percent", "value": 10, "min_total": 0, "max_discount": null}]);
    client.open_sale(&sale, sold_by).await;
    let shown = client.send(client.request(Method::GET, &format!("/v1/sales/{sale}"))).await;
    assert_eq!(shown.status, 200);
    let body = &shown.body;
    for field in [
        "sale_id",
        "title",
        "state",
        "ready",
        "opens_at",
        "closes_at",
        "server_time",
        "currency",
        "max_orders_per_customer",
        "delivery_fee",
        "free_delivery_from",
        "discount_policies",
        "items",
    ] {
        assert!(body.get(field).is_some(), "{field} is missing in {body}");
    }
    assert_eq!(
        body["items"][0],
        json!({"sku": "A", "name": "A", "price": 1000, "total": 7, "remaining": 7, "max_quantity_per_order": 10})
    );
    assert_eq!((&body["items"][1]["total"], &body["items"][1]["remaining"]), (&json!(null), &json!(null)));

    let tag = shown.headers["etag"].clone();
    let again = client.request(Method::GET, &format!("/v1/sales/{sale}")).header("If-None-Match", tag);
    assert_eq!(client.send(again).await.status, 304);
    let all = client.send(client.request(Method::GET, "/v1/sales")).await;
    let found = all.body["sales"].as_array().unwrap().iter().any(|shown| shown["sale_id"] == sale.as_str());
    assert!(found, "the list contains the sale");
}

#[tokio::test]
async fn remaining_stock_and_availability_follow_the_orders() {
    let client = shared().client();
    let sale = fresh("remaining");
    client.open_sale(&sale, terms(&[("A", 1000, Some(7)), ("U", 10, None)])).await;
    client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 5)])).await;
    testkit::until("two remain", async || {
        client.get("c", &format!("/v1/sales/{sale}")).await.body["items"][0]["remaining"] == 2
    })
    .await;
    let available = async |sku: &str, query: &str| {
        client.get("c", &format!("/v1/sales/{sale}/items/{sku}/availability{query}")).await
    };
    assert_eq!(available("A", "?quantity=2").await.body, json!({"available": true, "remaining": 2}));
    assert_eq!(available("A", "?quantity=3").await.body, json!({"available": false, "remaining": 2}));
    assert_eq!(available("U", "?quantity=3").await.body, json!({"available": true, "remaining": null}));
    assert_eq!(available("NONE", "").await.status, 404);
    assert_eq!(available("A", "?quantity=x").await.code(), "malformed_request");
}

#[tokio::test]
async fn an_order_is_readable_immediately_after_the_202_and_settles_with_its_history() {
    let client = shared().client();
    let sale = fresh("order");
    let mut sold_by = terms(&[("A", 1000, Some(7)), ("B", 500, Some(7))]);
    sold_by["delivery_fee"] = json!(300);
    sold_by["discount_policies"] =
        json!([{"id": "TEN", "kind": "percent", "value": 10, "min_total": 0, "max_discount": null}]);
    client.open_sale(&sale, sold_by).await;
    let mut body = order_body(&[("A", 2), ("B", 1)]);
    body["discount_policy_id"] = json!("TEN");
    body["expected_total"] = json!(2550);
    let accepted = client.order_until_answered(&sale, "buyer", "k", &body).await;
    assert_eq!(accepted.status, 202, "{:?}", accepted.body);
    assert_eq!(accepted.body["status"], "processing");
    assert_eq!(accepted.body["total"], 2550);
    let id = accepted.order_id();
    for (name, what) in [("status_url", "status"), ("events_url", "events"), ("websocket_url", "ws")] {
        assert_eq!(accepted.body[name], format!("/v1/sales/{sale}/orders/{id}/{what}"));
    }

    let path = format!("/v1/sales/{sale}/orders/{id}");
    let shown = shared().gateway_client(1).get("buyer", &path).await;
    assert_eq!(shown.status, 200, "every gateway returns it immediately: {:?}", shown.body);
    let settled = client.until_settled(&sale, "buyer", &id).await;
    assert_eq!(settled["status"], "created");
    assert_eq!(
        settled["lines"],
        json!([{"sku": "A", "quantity": 2, "unit_price": 1000}, {"sku": "B", "quantity": 1, "unit_price": 500}])
    );
    assert_eq!(
        (&settled["subtotal"], &settled["discount"], &settled["delivery_fee"], &settled["total"]),
        (&json!(2500), &json!(250), &json!(300), &json!(2550))
    );
    assert_eq!(settled["hold_expires_at"], accepted.body["hold_expires_at"]);
    assert_eq!(settled["history"][0]["status"], "created");
    for field in [
        "status_description",
        "progress_percentage",
        "can_cancel",
        "last_updated",
        "expected_completion_at",
        "payment",
        "delivery",
    ] {
        assert!(settled.get(field).is_some(), "{field} is missing");
    }
    let status = client.get("buyer", &format!("{path}/status")).await;
    assert_eq!((&status.body["order_id"], &status.body["status"]), (&json!(id), &json!("created")));

    assert_eq!(client.get("another-customer", &path).await.status, 404, "another customer's order");
    assert_eq!(client.get("buyer", &format!("/v1/sales/{sale}/orders/no-uuid")).await.status, 404);
    assert_eq!(client.send(client.request(Method::GET, &path)).await.status, 401);
}

#[tokio::test]
async fn a_customers_orders_are_listed_newest_first_page_by_page() {
    let client = shared().client();
    let sale = fresh("own");
    let mut sold_by = terms(&[("A", 1000, Some(70))]);
    sold_by["max_orders_per_customer"] = json!(10);
    client.open_sale(&sale, sold_by).await;
    let mut ids = vec![];
    for i in 0..5 {
        let answer =
            client.order_until_answered(&sale, "c", &format!("k{i}"), &order_body(&[("A", 1)])).await;
        ids.push(answer.order_id());
    }
    client.order_until_answered(&sale, "other", "k", &order_body(&[("A", 1)])).await;
    let all = client.get("c", &format!("/v1/sales/{sale}/orders")).await.body;
    assert_eq!(all["orders"].as_array().unwrap().len(), 5, "including orders that are not settled yet");
    client.until_settled(&sale, "c", &ids[4]).await;
    let (mut found, mut cursor) = (vec![], String::new());
    loop {
        let page = client.get("c", &format!("/v1/sales/{sale}/orders?limit=2{cursor}")).await.body;
        found.extend(
            page["orders"]
                .as_array()
                .unwrap()
                .iter()
                .map(|order| order["order_id"].as_str().unwrap().to_string()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    ids.reverse();
    assert_eq!(found, ids);
}

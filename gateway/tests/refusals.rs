//! Every refusal over HTTP, and its precedence where several apply.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::{Answer, fresh, shared};

/// Sends an order request of which every part can be invalid.
async fn send(
    sale: &str,
    auth: Option<&str>,
    key: Option<&str>,
    content_type: Option<&str>,
    body: &[u8],
) -> Answer {
    let client = shared().client();
    let mut request = client.request(Method::POST, &format!("/v1/sales/{sale}/orders")).body(body.to_vec());
    if let Some(auth) = auth {
        request = request.header("Authorization", auth);
    }
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    if let Some(content_type) = content_type {
        request = request.header("Content-Type", content_type);
    }
    client.send(request).await
}

const JSON: Option<&str> = Some("application/json");
const BUYER: Option<&str> = Some("Bearer dev:buyer");

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{:?}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["status"], status);
    assert!(answer.body["title"].is_string() && answer.body["detail"].is_string());
    let retry = answer.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    assert_eq!(retry.is_some_and(|seconds| seconds >= 1), matches!(status, 429 | 503));
}

#[tokio::test]
async fn faults_of_a_request_are_reported_in_the_documented_precedence() {
    let sale = fresh("refusals");
    shared().client().open_sale(&sale, terms(&[("A", 1000, Some(10))])).await;
    let good = order_body(&[("A", 1)]).to_string().into_bytes();
    let huge = vec![b' '; 17 * 1024];

    // Each request has the reported fault and every fault of lower precedence.
    assert_refused(&send("no-such-sale", None, None, None, &huge).await, 401, "unauthenticated");
    assert_refused(&send("no-such-sale", Some("Basic x"), None, None, &huge).await, 401, "unauthenticated");
    assert_refused(
        &send("no-such-sale", Some("Bearer dev:bad name"), None, None, &huge).await,
        401,
        "unauthenticated",
    );
    assert_refused(&send("no-such-sale", BUYER, None, None, &huge).await, 404, "unknown_sale");
    assert_refused(&send(&sale, BUYER, None, None, &huge).await, 413, "too_large");
    assert_refused(&send(&sale, BUYER, None, None, b"{").await, 415, "unsupported_media_type");
    assert_refused(&send(&sale, BUYER, None, Some("text/plain"), &good).await, 415, "unsupported_media_type");
    assert_refused(&send(&sale, BUYER, None, JSON, b"{").await, 400, "malformed_request");
    assert_refused(&send(&sale, BUYER, None, JSON, &good).await, 400, "malformed_request");
    assert_refused(&send(&sale, BUYER, Some("sp ace"), JSON, &good).await, 400, "malformed_request");
    assert_refused(&send(&sale, BUYER, Some(&"k".repeat(129)), JSON, &good).await, 400, "malformed_request");

    let refused = async |body: Value| send(&sale, BUYER, Some("k"), JSON, body.to_string().as_bytes()).await;
    for malformed in [
        json!([]),
        json!({}),
        json!({"items": "A"}),
        json!({"items": [{"sku": "A"}]}),
        json!({"items": [{"sku": "A", "quantity": "1"}]}),
        json!({"items": [{"sku": "A", "quantity": 1.5}]}),
        json!({"items": [{"sku": "A", "quantity": 1}], "surprise": true}),
        json!({"items": [{"sku": "A", "quantity": 0, "colour": "red"}]}),
    ] {
        assert_refused(&refused(malformed).await, 400, "malformed_request");
    }
    for invalid in [
        json!({"items": []}),
        json!({"items": [{"sku": "A", "quantity": 0}]}),
        json!({"items": [{"sku": "A", "quantity": -1}]}),
        json!({"items": [{"sku": "A", "quantity": 11}]}), // over the item's limit of 10
        json!({"items": [{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 1}]}),
        json!({"items": [{"sku": "not a name", "quantity": 1}]}),
        json!({"items": [{"sku": "NONE", "quantity": 0}]}), // "invalid" takes precedence over "unknown"
        json!({"items": [{"sku": "A", "quantity": 1}], "discount_policy_id": "none"}),
        json!({"items": [{"sku": "A", "quantity": 1}], "shipping_address":
            {"name": "a\u{7}b", "line1": "x", "city": "x", "postal_code": "x", "country": "KR"}}),
    ] {
        assert_refused(&refused(invalid).await, 422, "invalid_order");
    }
    let unknown = refused(json!({"items": [{"sku": "NONE", "quantity": 1}], "expected_total": 1})).await;
    assert_refused(&unknown, 422, "unknown_sku");
    let mismatch = refused(json!({"items": [{"sku": "A", "quantity": 2}], "expected_total": 1})).await;
    assert_refused(&mismatch, 422, "total_mismatch");
    assert_eq!(mismatch.body["total"], 2000);
}

#[tokio::test]
async fn refusals_by_the_script_keep_their_precedence_too() {
    let client = shared().client();
    let sale = fresh("order");
    client.open_sale(&sale, terms(&[("A", 1000, Some(2)), ("B", 1000, Some(5))])).await;
    let first = client.order_until_answered(&sale, "buyer", "k1", &order_body(&[("A", 2)])).await;
    assert_eq!(first.status, 202, "{:?}", first.body);

    // The key, then the window and the state, then the customer's limit, then the stock.
    let reused = client.order(&sale, "buyer", "k1", &order_body(&[("A", 1)])).await;
    assert_refused(&reused, 422, "idempotency_key_reused");
    let duplicate = client.order(&sale, "buyer", "k2", &order_body(&[("A", 1)])).await;
    assert_refused(&duplicate, 409, "duplicate_order");
    assert_eq!(duplicate.body["order_id"], first.body["order_id"]);
    let sold_out = client.order(&sale, "other", "k", &order_body(&[("B", 1), ("A", 1)])).await;
    assert_refused(&sold_out, 409, "sold_out");
    assert_eq!((&sold_out.body["sku"], &sold_out.body["remaining"]), (&json!("A"), &json!(0)));
    let too_many = client.order(&sale, "other", "k", &order_body(&[("B", 6)])).await;
    assert_refused(&too_many, 409, "sold_out");
    assert_eq!(too_many.body["remaining"], 5);

    let act = async |action: &str| {
        client.admin(Method::POST, &format!("/admin/v1/sales/{sale}/{action}"), None).await
    };
    act("pause").await;
    client.until_sale(&sale, "paused", true).await;
    let paused = client.order(&sale, "buyer", "k2", &order_body(&[("A", 1)])).await;
    assert_refused(&paused, 409, "sale_paused");
    assert_refused(
        &client.order(&sale, "buyer", "k1", &order_body(&[("A", 1)])).await,
        422,
        "idempotency_key_reused",
    );
    act("resume").await;
    client.until_sale(&sale, "open", true).await;
    act("close").await;
    client.until_sale(&sale, "closed", true).await;
    assert_refused(&client.order(&sale, "other", "k", &order_body(&[("B", 1)])).await, 409, "sale_closed");
}

#[tokio::test]
async fn the_sale_window_follows_the_clock_of_redis() {
    let client = shared().client();
    let (early, late) = (fresh("early"), fresh("late"));
    let mut before = terms(&[("A", 1000, Some(2))]);
    before["opens_at"] = json!("2999-01-01T00:00:00Z");
    client.open_sale(&early, before).await;
    let refused = client.order(&early, "c", "k", &order_body(&[("A", 1)])).await;
    assert_refused(&refused, 409, "sale_not_open");
    assert_eq!(refused.body["opens_at"], "2999-01-01T00:00:00.000Z");

    let mut after = terms(&[("A", 1000, Some(2))]);
    after["closes_at"] = json!("2001-01-01T00:00:00Z");
    client.open_sale(&late, after).await;
    assert_refused(&client.order(&late, "c", "k", &order_body(&[("A", 1)])).await, 409, "sale_closed");
}

#[tokio::test]
async fn a_draft_is_unknown_to_customers() {
    let client = shared().client();
    let sale = fresh("draft");
    let put = client
        .admin(Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(&terms(&[("A", 1, Some(1))])))
        .await;
    assert_eq!(put.status, 201);
    assert_refused(&client.order(&sale, "c", "k", &order_body(&[("A", 1)])).await, 404, "unknown_sale");
    assert_eq!(client.get("c", &format!("/v1/sales/{sale}")).await.status, 404);
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_missing_roles_are_distinguished() {
    let client = shared().client();
    let get = async |method: Method, path: &str| client.send(client.request(method, path)).await;
    assert_refused(&get(Method::GET, "/v1/nothing").await, 404, "not_found");
    assert_refused(&get(Method::DELETE, "/v1/sales").await, 405, "method_not_allowed");
    let customer = client.request(Method::POST, "/v1/sales/x/orders").bearer_auth("dev-admin");
    assert_refused(&client.send(customer).await, 403, "forbidden");
    let (_, admin) = &shared().gateways[0];
    let as_customer = reqwest::Client::new().get(format!("{admin}/admin/v1/sales")).bearer_auth("dev:c");
    assert_refused(&client.send(as_customer).await, 403, "forbidden");
    let anonymous = reqwest::Client::new().get(format!("{admin}/admin/v1/sales"));
    assert_refused(&client.send(anonymous).await, 401, "unauthenticated");
}

#[tokio::test]
async fn refusals_are_in_the_customers_language_and_keep_their_code() {
    let client = shared().client();
    let request = client.request(Method::GET, "/v1/sales/none").header("Accept-Language", "ko-KR,ko;q=0.9");
    let answer = client.send(request).await;
    assert_eq!(answer.code(), "unknown_sale");
    assert_eq!(answer.body["title"], "존재하지 않는 판매입니다.");
}

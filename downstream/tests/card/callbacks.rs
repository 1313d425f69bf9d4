//! Callbacks of the provider at the gateway, which accepts them only with a valid signature.

use contract::webhook::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, fresh};
use uuid::Uuid;

use crate::support::{SECRET, notes, open_sale, order_by_card, quiet_shop, until_order};

const PATH: &str = "/v1/payments/callback";

fn now_seconds() -> u64 {
    process::walltime::now().0 / 1000
}

fn signature(secret: &str, at_seconds: u64, body: &str) -> String {
    Secret::parse(secret).expect("a secret").sign("msg_1", at_seconds, body.as_bytes())
}

async fn send(client: &Client, at_seconds: u64, signature: &str, body: &str) -> Answer {
    let request = client.request(Method::POST, PATH).header("content-type", "application/json");
    let request = request.header("webhook-id", "msg_1").header("webhook-timestamp", at_seconds.to_string());
    client.send(request.header("webhook-signature", signature).body(body.to_string())).await
}

/// Sends a callback with a valid signature and the present time.
async fn send_signed(client: &Client, body: &Value) -> Answer {
    let (at, body) = (now_seconds(), body.to_string());
    send(client, at, &signature(SECRET, at, &body), &body).await
}

/// Creates a card payment that no component works on, and a callback about it.
async fn pending(client: &Client) -> (String, String, Value) {
    let sale = open_sale(client, 3600).await;
    let order = order_by_card(client, &sale, "c", "tok_approve").await;
    let requested = until_order(client, &sale, "c", &order, ("payment_requested", "requested")).await;
    let callback = json!({"payment_id": requested["payment"]["payment_id"], "order_id": order, "sale_id": sale,
        "result": "succeeded", "amount": 1000, "currency": "KRW"});
    (sale, order, callback)
}

#[tokio::test]
async fn a_signed_callback_is_accepted_and_a_replay_changes_nothing() {
    let client = quiet_shop().system.client();
    let (sale, order, callback) = pending(&client).await;
    let first = send_signed(&client, &callback).await;
    assert_eq!(first.status, 200, "{:?}", first.body);
    assert_eq!((&first.body["order_id"], &first.body["result"]), (&json!(order), &json!("succeeded")));
    until_order(&client, &sale, "c", &order, ("preparing", "captured")).await;
    for _ in 0..3 {
        assert_eq!(send_signed(&client, &callback).await.body, first.body);
    }
    // One valid signature of several is enough: secrets are rotated while messages are in flight.
    let (at, body) = (now_seconds(), callback.to_string());
    let older = signature("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", at, &body);
    let both = format!("{older} {}", signature(SECRET, at, &body));
    assert_eq!(send(&client, at, &both, &body).await.status, 200);
    // A callback with another result is left to settlement. The replays leave no note before it.
    let mut contradiction = callback.clone();
    (contradiction["result"], contradiction["reason"]) = (json!("failed"), json!("card_declined"));
    assert_eq!(send_signed(&client, &contradiction).await.status, 200);
    let noted = testkit::eventually("the false callback is recorded", async || {
        Some(notes(quiet_shop(), &order).await).filter(|notes| !notes.is_empty())
    });
    assert_eq!(noted.await, [("payment_result".to_string(), "illegal".to_string())]);
    until_order(&client, &sale, "c", &order, ("preparing", "captured")).await;
}

#[tokio::test]
async fn a_callback_without_the_right_signature_or_time_is_refused() {
    let client = quiet_shop().system.client();
    let (_, _, callback) = pending(&client).await;
    let (now, body) = (now_seconds(), callback.to_string());
    let refused = async |at, signature: &str, body: &str| {
        let answer = send(&client, at, signature, body).await;
        (answer.status.as_u16(), answer.code().to_string())
    };
    let invalid = (401, "invalid_signature".to_string());
    let right = signature(SECRET, now, &body);
    let other = signature("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", now, &body);
    assert_eq!(refused(now, &other, &body).await, invalid);
    assert_eq!(refused(now, "", &body).await, invalid);
    assert_eq!(refused(now, &right, &body.replace("1000", "1")).await, invalid, "another body");
    assert_eq!(refused(now + 1, &right, &body).await, invalid, "another time");
    for at in [now - 330, now + 330] {
        assert_eq!(refused(at, &signature(SECRET, at, &body), &body).await, invalid, "too far from now");
    }
    let unsigned = client.request(Method::POST, PATH).json(&callback);
    assert_eq!(client.send(unsigned).await.code(), "invalid_signature");
}

#[tokio::test]
async fn a_signed_callback_must_be_valid_and_name_an_existing_payment() {
    let client = quiet_shop().system.client();
    let (_, _, callback) = pending(&client).await;
    let (other_sale, other_order, _) = pending(&client).await;
    let with = |name: &str, value: Value| {
        let mut callback = callback.clone();
        callback[name] = value;
        callback
    };
    for (bad, status, code) in [
        (with("payment_id", json!(Uuid::now_v7())), 404, "not_found"),
        (with("order_id", json!(other_order)), 404, "not_found"),
        (with("sale_id", json!(other_sale)), 404, "not_found"),
        (with("sale_id", json!(fresh("none"))), 404, "unknown_sale"),
        (with("surprise", json!(1)), 400, "malformed_request"),
        (with("reason", json!("x".repeat(201))), 400, "malformed_request"),
        (with("result", json!("perhaps")), 400, "malformed_request"),
        (with("amount", json!(-1)), 400, "malformed_request"),
        (with("sale_id", json!("x".repeat(20_000))), 413, "too_large"),
    ] {
        let answer = send_signed(&client, &bad).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{bad}");
    }
    assert_eq!(client.get("c", PATH).await.status, 405);
}

#[tokio::test]
async fn a_signed_decline_cancels_the_order_with_its_reason() {
    let client = quiet_shop().system.client();
    let (sale, order, mut callback) = pending(&client).await;
    (callback["result"], callback["reason"]) = (json!("failed"), json!("card_declined"));
    assert_eq!(send_signed(&client, &callback).await.status, 200);
    let failed = until_order(&client, &sale, "c", &order, ("cancelled", "failed")).await;
    assert_eq!(failed["payment"]["reason"], "card_declined");
}

#[tokio::test]
async fn without_a_secret_callbacks_are_not_found() {
    let client = testkit::shared().client();
    assert_eq!(send_signed(&client, &json!({})).await.code(), "not_found");
}

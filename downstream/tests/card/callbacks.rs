//! The provider's word at the gateway: believed by its signature, and only then.

use contract::webhook::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, fresh};
use uuid::Uuid;

use crate::support::{SECRET, notes, order_by_card, quiet_shop, sale_of, until_order};

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

/// Sent now and signed as it should be.
async fn tell(client: &Client, body: &Value) -> Answer {
    let (at, body) = (now_seconds(), body.to_string());
    send(client, at, &signature(SECRET, at, &body), &body).await
}

/// A card payment that nobody else speaks of, and a callback about it.
async fn pending(client: &Client) -> (String, String, Value) {
    let sale = sale_of(client, 3600).await;
    let order = order_by_card(client, &sale, "c", "tok_approve").await;
    let requested = until_order(client, &sale, "c", &order, ("payment_requested", "requested")).await;
    let told = json!({"payment_id": requested["payment"]["payment_id"], "order_id": order, "sale_id": sale,
        "result": "succeeded", "amount": 1000, "currency": "KRW"});
    (sale, order, told)
}

#[tokio::test]
async fn a_signed_callback_is_taken_and_a_replay_changes_nothing() {
    let client = quiet_shop().system.client();
    let (sale, order, told) = pending(&client).await;
    let first = tell(&client, &told).await;
    assert_eq!(first.status, 200, "{:?}", first.body);
    assert_eq!((&first.body["order_id"], &first.body["result"]), (&json!(order), &json!("succeeded")));
    until_order(&client, &sale, "c", &order, ("preparing", "captured")).await;
    for _ in 0..3 {
        assert_eq!(tell(&client, &told).await.body, first.body);
    }
    // One signature of several is enough: secrets change while messages are on their way.
    let (at, body) = (now_seconds(), told.to_string());
    let older = signature("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", at, &body);
    let both = format!("{older} {}", signature(SECRET, at, &body));
    assert_eq!(send(&client, at, &both, &body).await.status, 200);
    // What says something else is for settlement to judge; of the replays there is no trace before it.
    let mut lie = told.clone();
    (lie["result"], lie["reason"]) = (json!("failed"), json!("card_declined"));
    assert_eq!(tell(&client, &lie).await.status, 200);
    let noted = testkit::eventually("the lie is noted", async || {
        Some(notes(quiet_shop(), &order).await).filter(|notes| !notes.is_empty())
    });
    assert_eq!(noted.await, [("payment_result".to_string(), "illegal".to_string())]);
    until_order(&client, &sale, "c", &order, ("preparing", "captured")).await;
}

#[tokio::test]
async fn a_callback_without_the_right_signature_or_time_is_refused() {
    let client = quiet_shop().system.client();
    let (_, _, told) = pending(&client).await;
    let (now, body) = (now_seconds(), told.to_string());
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
    let unsigned = client.request(Method::POST, PATH).json(&told);
    assert_eq!(client.send(unsigned).await.code(), "invalid_signature");
}

#[tokio::test]
async fn a_signed_callback_is_read_strictly_and_must_name_a_payment_that_there_is() {
    let client = quiet_shop().system.client();
    let (_, _, told) = pending(&client).await;
    let (other_sale, other_order, _) = pending(&client).await;
    let with = |name: &str, value: Value| {
        let mut told = told.clone();
        told[name] = value;
        told
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
        let answer = tell(&client, &bad).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{bad}");
    }
    assert_eq!(client.get("c", PATH).await.status, 405);
}

#[tokio::test]
async fn a_signed_refusal_cancels_the_order_and_says_why() {
    let client = quiet_shop().system.client();
    let (sale, order, mut told) = pending(&client).await;
    (told["result"], told["reason"]) = (json!("failed"), json!("card_declined"));
    assert_eq!(tell(&client, &told).await.status, 200);
    let failed = until_order(&client, &sale, "c", &order, ("cancelled", "failed")).await;
    assert_eq!(failed["payment"]["reason"], "card_declined");
}

#[tokio::test]
async fn without_a_secret_there_are_no_callbacks() {
    let client = testkit::shared().client();
    assert_eq!(tell(&client, &json!({})).await.code(), "not_found");
}

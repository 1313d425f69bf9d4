//! The provider alone: the promises of its API.

use std::time::Instant;

use contract::record::PaymentOutcome;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{fresh, until};
use uuid::Uuid;

use crate::support::{LATE_MS, Merchant, Provider, charge, send};

fn path(charge: &Value) -> String {
    format!("/v1/payments/{}", charge["payment_id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_key_has_one_response_and_charges_once_also_after_a_restart() {
    let mut provider = Provider::start().await;
    let sale = fresh("s");
    let (approved, declined) = (charge(&sale, None, None), charge(&sale, Some("tok_decline"), None));
    let (status, first) = provider.charge(&approved).await;
    assert_eq!((status, &first["status"]), (StatusCode::CREATED, &json!("succeeded")));
    let (status, refused) = provider.charge(&declined).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!((&refused["status"], &refused["reason"]), (&json!("failed"), &json!("card_declined")));

    for restarted in [false, true] {
        if restarted {
            provider.stop();
            provider.run().await;
        }
        assert_eq!(provider.charge(&approved).await, (StatusCode::OK, first.clone()));
        assert_eq!(provider.charge(&declined).await, (StatusCode::OK, refused.clone()));
        let mut dearer = approved.clone();
        dearer["amount"] = json!(2000);
        let (status, problem) = provider.charge(&dearer).await;
        assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("idempotency_key_reused")));
        let (status, problem) = provider.post("/v1/payments", "another-key", &approved).await;
        assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("payment_exists")));
        let mut captured: Vec<_> = provider.ledger(&sale).await.into_iter().map(|entry| entry.1).collect();
        captured.sort_unstable();
        assert_eq!(captured, [0, 1000]);
    }
    assert_eq!(provider.get(&path(&approved)).await, (StatusCode::OK, first));
    assert_eq!(provider.get(&format!("/v1/payments/{}", Uuid::now_v7())).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refund_is_made_once_and_never_exceeds_the_captured_amount() {
    let mut provider = Provider::start().await;
    let sale = fresh("s");
    let (paid, declined) = (charge(&sale, None, None), charge(&sale, Some("tok_decline"), None));
    provider.charge(&paid).await;
    provider.charge(&declined).await;
    let refunds = format!("{}/refunds", path(&paid));
    let (status, refund) = provider.post(&refunds, "r1", &json!({"amount": 700})).await;
    assert_eq!((status, &refund["amount"]), (StatusCode::CREATED, &json!(700)));
    provider.stop();
    provider.run().await;
    assert_eq!(provider.post(&refunds, "r1", &json!({"amount": 700})).await, (StatusCode::OK, refund));
    assert_eq!(
        provider.post(&refunds, "r1", &json!({"amount": 300})).await.1["code"],
        "idempotency_key_reused"
    );
    assert_eq!(provider.post(&refunds, "r2", &json!({"amount": 301})).await.1["code"], "amount_too_large");
    assert_eq!(provider.post(&refunds, "r3", &json!({"amount": 300})).await.0, StatusCode::CREATED);
    let none = format!("{}/refunds", path(&declined));
    assert_eq!(provider.post(&none, "r4", &json!({"amount": 1})).await.1["code"], "not_captured");
    let entries = provider.ledger(&sale).await;
    assert_eq!((entries[0].1, entries[0].2, entries[1].1, entries[1].2), (1000, 1000, 0, 0));
}

#[tokio::test]
async fn callbacks_are_signed_and_retried_until_they_are_accepted() {
    let provider = Provider::start().await;
    let merchant = Merchant::start(2).await;
    let paid = charge(&fresh("s"), Some("tok_approve"), Some(&merchant.url));
    provider.charge(&paid).await;
    until("the third attempt is accepted", async || merchant.callbacks(&paid).len() >= 3).await;
    let callbacks = merchant.callbacks(&paid);
    assert!(callbacks.iter().all(|(id, body, signed)| {
        *id == callbacks[0].0 && body.result == PaymentOutcome::Succeeded && body.amount == 1000 && *signed
    }));
    let twice = charge(&fresh("s"), Some("tok_twice"), Some(&merchant.url));
    let lie = charge(&fresh("s"), Some("tok_lie"), Some(&merchant.url));
    provider.charge(&twice).await;
    provider.charge(&lie).await;
    until("both callbacks of each payment have arrived", async || {
        merchant.callbacks(&twice).len() == 2 && merchant.callbacks(&lie).len() == 2
    })
    .await;
    assert_eq!(merchant.callbacks(&lie)[1].1.reason, None, "a captured payment has no reason");
    let declined = charge(&fresh("s"), Some("tok_decline"), Some(&merchant.url));
    provider.charge(&declined).await;
    until("the decline is reported", async || merchant.callbacks(&declined).len() == 1).await;
    assert_eq!(merchant.callbacks(&declined)[0].1.reason.as_deref(), Some("card_declined"));
    let results =
        |charge| merchant.callbacks(charge).into_iter().map(|callback| callback.1.result).collect::<Vec<_>>();
    assert_eq!(results(&twice), [PaymentOutcome::Succeeded; 2]);
    assert_eq!(results(&lie), [PaymentOutcome::Succeeded, PaymentOutcome::Failed]);
    assert_eq!(provider.get(&path(&lie)).await.1["status"], "succeeded");
    assert_eq!(merchant.callbacks(&paid).len(), 3, "an accepted callback is not repeated");
}

#[tokio::test]
async fn a_late_payment_is_pending_first_and_survives_a_restart() {
    let mut provider = Provider::start().await;
    let merchant = Merchant::start(0).await;
    let late = charge(&fresh("s"), Some("tok_late"), Some(&merchant.url));
    let (status, first) = provider.charge(&late).await;
    assert_eq!((status, &first["status"]), (StatusCode::ACCEPTED, &json!("pending")));
    provider.stop();
    assert!(merchant.callbacks(&late).is_empty());
    provider.run().await;
    until("the payment is decided", async || provider.get(&path(&late)).await.1["status"] == "succeeded")
        .await;
    until("the decision is reported", async || merchant.callbacks(&late).len() == 1).await;
    let (status, again) = provider.charge(&late).await;
    assert_eq!((status, again), (StatusCode::ACCEPTED, first), "the same key, the same response");
}

#[tokio::test]
async fn a_charge_without_a_response_is_reported_by_callback_and_by_query() {
    let provider = Provider::start().await;
    let merchant = Merchant::start(0).await;
    let unanswered = charge(&fresh("s"), Some("tok_timeout"), Some(&merchant.url));
    let request = reqwest::Client::new()
        .post(provider.url("/v1/payments"))
        .header("idempotency-key", "k")
        .timeout(std::time::Duration::from_millis(LATE_MS / 2))
        .json(&unanswered);
    let begun = Instant::now();
    assert!(request.send().await.expect_err("no response").is_timeout());
    assert_eq!(provider.get(&path(&unanswered)).await.1["status"], "succeeded");
    until("the result is reported", async || merchant.callbacks(&unanswered).len() == 1).await;
    assert!(begun.elapsed().as_millis() as u64 >= LATE_MS);
}

#[tokio::test]
async fn a_cancelled_payment_is_never_captured_and_a_captured_one_is_reported() {
    const LATE_MS: u64 = 4000; // the cancellation comes first, also on a busy machine
    let provider = Provider::start_late(LATE_MS).await;
    let sale = fresh("s");
    let [before, pending, paid] = [None, Some("tok_late"), None].map(|token| charge(&sale, token, None));
    provider.charge(&pending).await;
    provider.charge(&paid).await;
    let cancel =
        async |charge: &Value| provider.post(&format!("{}/cancel", path(charge)), "unused", charge).await;
    for cancelled in [&before, &pending] {
        let (status, view) = cancel(cancelled).await;
        assert_eq!((status, &view["status"]), (StatusCode::OK, &json!("failed")));
        assert_eq!(view["reason"], "cancelled");
    }
    assert_eq!(cancel(&paid).await.1["status"], "succeeded");
    // The charge was in flight and arrives after the cancellation.
    let (status, view) = provider.charge(&before).await;
    assert_eq!((status, &view["status"]), (StatusCode::OK, &json!("failed")));
    let past = process::walltime::now().0 + LATE_MS;
    until("the time of the decision is past", async || process::walltime::now().0 > past + 100).await;
    let captured: u64 = provider.ledger(&sale).await.iter().map(|entry| entry.1).sum();
    assert_eq!(captured, 1000, "only the paid one");
}

#[tokio::test]
async fn invalid_requests_are_rejected() {
    let provider = Provider::start().await;
    let good = charge(&fresh("s"), None, None);
    let http = reqwest::Client::new();
    let without_key = send(http.post(provider.url("/v1/payments")).json(&good)).await;
    assert_eq!((without_key.0.as_u16(), &without_key.1["code"]), (400, &json!("malformed_request")));
    for (name, value) in [("surprise", json!(1)), ("amount", json!(-1)), ("currency", json!("won"))] {
        let mut bad = good.clone();
        bad[name] = value;
        assert_eq!(provider.charge(&bad).await.0, StatusCode::BAD_REQUEST, "{name}");
    }
    let mut long = good.clone();
    long["token"] = json!("x".repeat(20_000));
    assert_eq!(provider.charge(&long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(provider.get("/v1/payments").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(provider.get("/v1/nothing").await.0, StatusCode::NOT_FOUND);
    assert!(provider.ledger(good["sale_id"].as_str().expect("a sale")).await.is_empty());
}

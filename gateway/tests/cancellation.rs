//! Cancellation of orders, by their customers or because they were not paid, and what customers see.

use std::time::Duration;

use contract::ids::{CustomerId, Epoch, IdempotencyKey, OrderId, RequestFingerprint, SaleId};
use contract::keys::SaleKeys;
use contract::order::Order;
use contract::publication::ScriptDigests;
use contract::sale::SaleState;
use contract::wire;
use lua::Redis;
use lua::reserve::{Candidate, Terms, reserve};
use process::walltime;
use reqwest::Method;
use serde_json::json;
use testkit::client::{order_body, terms};
use testkit::{Answer, Client, fresh, shared};

async fn cancel(client: &Client, customer: &str, sale: &str, order: &str) -> Answer {
    let request = client.request(Method::DELETE, &format!("/v1/sales/{sale}/orders/{order}"));
    client.send(request.bearer_auth(format!("dev:{customer}"))).await
}

async fn until_status(client: &Client, sale: &str, customer: &str, order: &str, status: &str) -> Answer {
    testkit::eventually(&format!("{order} is {status}"), async || {
        let shown = client.get(customer, &format!("/v1/sales/{sale}/orders/{order}")).await;
        (shown.body["status"] == status).then_some(shown)
    })
    .await
}

/// Reserves two units like a gateway that crashes before the hand-off: only the outbox contains the order.
async fn reserve_without_hand_off(sale: &str, customer: &str) -> String {
    let sale = SaleId::parse(sale).expect("a name");
    let (owner, key) =
        (CustomerId::parse(customer).expect("a name"), IdempotencyKey::parse("k").expect("a key"));
    let order = json!({
        "id": OrderId::new(walltime::now().0, 1, RequestFingerprint::compute(&sale, &owner, &key)),
        "customer": owner, "key": key, "digest": "00000000000000ff", "lines": [["A", 2, 1000]], "hold_seconds": 3600,
    });
    let order: Order = serde_json::from_value(order).expect("an order");
    let select = "SELECT epoch, scripts FROM sale WHERE sale_id = $1 AND ready";
    let row = shared().database().await.query_one(select, &[&sale.as_str()]).await.expect("a ready sale");
    let scripts: ScriptDigests = serde_json::from_value(row.get(1)).expect("digests");
    let redis = Redis::connect_once(&shared().redis_url, Duration::from_secs(10)).await.expect("Redis is up");
    let terms = Terms { opens_at: None, closes_at: None, state: SaleState::Open, limit: Some(1) };
    let keys = SaleKeys::new(&sale, Epoch(row.get::<_, i64>(0) as u64));
    let candidate = Candidate::new(&order, wire::encode(&order), true);
    let deadline = redis.deadline().await.expect("the time");
    let reply = reserve(&redis, &scripts.reserve, &keys, &terms, deadline, &[], &[&candidate]).await;
    assert_eq!(reply.expect("a reply").expect("not lost").accepted, 1);
    order.id.to_string()
}

#[tokio::test]
async fn a_cancellation_is_never_appended_to_the_log_before_its_order() {
    let client = shared().client();
    let sale = fresh("behind");
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    let id = reserve_without_hand_off(&sale, "c").await;
    // Until the relay has appended the order to the log, a command would precede it and find no order.
    testkit::until("the command is accepted", async || {
        let answer = cancel(&client, "c", &sale, &id).await;
        assert!(answer.status == 202 || answer.code() == "outcome_unknown", "{answer:?}");
        answer.status == 202
    })
    .await;
    until_status(&client, &sale, "c", &id, "cancelled").await;
}

#[tokio::test]
async fn a_sale_continues_after_the_cancellation_of_an_order_of_an_unlimited_item() {
    let client = shared().client();
    let sale = fresh("unlimited");
    client.open_sale(&sale, terms(&[("A", 1000, Some(1)), ("B", 1000, None)])).await;
    let first = client.order_until_answered(&sale, "c", "k1", &order_body(&[("A", 1), ("B", 2)])).await;
    assert_eq!(first.status, 202, "{:?}", first.body);
    assert_eq!(cancel(&client, "c", &sale, &first.order_id()).await.status, 202);
    // The unit becomes available again, through a release call that also contains the unlimited item's units.
    testkit::until("another customer gets the unit", async || {
        let answer = client.order(&sale, "d", "k1", &order_body(&[("A", 1), ("B", 1)])).await;
        assert_ne!(answer.code(), "outcome_unknown", "{answer:?}");
        answer.status == 202
    })
    .await;
}

#[tokio::test]
async fn a_customer_may_order_again_after_a_cancellation_and_the_first_key_still_replays() {
    let (client, other) = (shared().client(), shared().gateway_client(1));
    let sale = fresh("cancel");
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    other.until_sale(&sale, "open", true).await;
    let body = order_body(&[("A", 2)]);
    let first = client.order_until_answered(&sale, "c", "k1", &body).await;
    assert_eq!(first.status, 202, "{:?}", first.body);
    let id = first.order_id();

    // Immediately, before the order is settled, and a second time at another gateway.
    let cancelled = cancel(&client, "c", &sale, &id).await;
    assert_eq!(cancelled.status, 202, "{:?}", cancelled.body);
    assert_eq!((&cancelled.body["order_id"], &cancelled.body["command"]), (&json!(id), &json!("cancel")));
    assert_eq!(cancel(&other, "c", &sale, &id).await.body, cancelled.body);
    let shown = until_status(&client, &sale, "c", &id, "cancelled").await.body;
    assert_eq!((&shown["cancel_reason"], &shown["can_cancel"]), (&json!("customer"), &json!(false)));
    let history: Vec<_> =
        shown["history"].as_array().expect("a history").iter().map(|h| &h["status"]).collect();
    assert_eq!(history, [&json!("created"), &json!("cancelled")]);
    let notes = shown["notes"].as_array().map_or(&[][..], Vec::as_slice);
    // The second command was appended before the first one was settled, or not at all.
    assert!(notes.iter().all(|n| n["command"] == "cancel" && n["result"] == "illegal"), "{notes:?}");
    assert_eq!(cancel(&client, "c", &sale, &id).await.body, cancelled.body, "the same 202 afterwards");

    // The customer may order again; the first key still returns the first order.
    let second = testkit::eventually("the customer may order again", async || {
        let answer = client.order(&sale, "c", "k2", &body).await;
        (answer.status == 202).then_some(answer)
    })
    .await;
    assert_ne!(second.order_id(), id);
    let again = other.order_until_answered(&sale, "c", "k1", &body).await;
    assert!(again.replayed() && again.order_id() == id, "{again:?}");
    let duplicate = client.order_until_answered(&sale, "c", "k3", &body).await;
    assert_eq!((duplicate.code(), duplicate.order_id()), ("duplicate_order", second.order_id()));
}

#[tokio::test]
async fn only_its_customer_may_cancel_an_order_and_only_while_its_state_allows_it() {
    let client = shared().client();
    let sale = fresh("own");
    let mut terms = terms(&[("A", 1000, Some(5))]);
    terms["hold_seconds"] = json!(1);
    client.open_sale(&sale, terms).await;
    let order = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await;
    let id = order.order_id();
    assert_eq!(cancel(&client, "another-customer", &sale, &id).await.code(), "not_found");
    assert_eq!(cancel(&client, "c", &sale, "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9").await.code(), "not_found");
    assert_eq!(cancel(&client, "c", &sale, "nonsense").await.code(), "not_found");
    assert_eq!(cancel(&client, "c", "no-such-sale", &id).await.code(), "unknown_sale");
    let anonymous = client.request(Method::DELETE, &format!("/v1/sales/{sale}/orders/{id}"));
    assert_eq!(client.send(anonymous).await.code(), "unauthenticated");

    let shown = until_status(&client, &sale, "c", &id, "cancelled").await.body;
    assert_eq!(shown["cancel_reason"], "expired");
    let late = cancel(&client, "c", &sale, &id).await;
    assert_eq!((late.status.as_u16(), late.code()), (409, "illegal_move"));
    assert_eq!(late.body["order_status"], "cancelled");
}

#[tokio::test]
async fn released_units_are_sold_again_without_intervention() {
    let (client, other) = (shared().client(), shared().gateway_client(1));
    let sale = fresh("again");
    client.open_sale(&sale, terms(&[("A", 1000, Some(3))])).await;
    other.until_sale(&sale, "open", true).await;
    let body = order_body(&[("A", 1)]);
    let mut ids = Vec::new();
    for customer in ["a", "b", "c"] {
        ids.push(client.order_until_answered(&sale, customer, "k", &body).await.order_id());
    }
    // Both gateways refuse from their stock cache.
    for gateway in [&client, &other] {
        testkit::until("it is sold out", async || {
            gateway.order(&sale, "late", "k", &body).await.code() == "sold_out"
        })
        .await;
    }
    assert_eq!(cancel(&client, "b", &sale, &ids[1]).await.status, 202);
    until_status(&client, &sale, "b", &ids[1], "cancelled").await;
    testkit::until("the unit is sold again", async || {
        other.order(&sale, "late", "k", &body).await.status == 202
    })
    .await;
    assert_eq!(client.order_until_answered(&sale, "later", "k", &body).await.code(), "sold_out");
    let inventory = client.admin(Method::GET, &format!("/admin/v1/sales/{sale}/inventory"), None).await;
    assert_eq!(inventory.body["items"][0]["total"], 3);
}

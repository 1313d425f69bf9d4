//! The effects of the test cards on orders, and of cancellations on payments.

use serde_json::json;

use crate::support::{cancel, get_order, notes, open_sale, order_by_card, shop, until_order};

const PAID: (&str, &str) = ("preparing", "captured");

#[tokio::test]
async fn an_approved_card_pays_the_order_once() {
    let (shop, client) = (shop(), shop().system.client());
    let sale = open_sale(&client, 3600).await;
    let order = order_by_card(&client, &sale, "c", "tok_approve").await;
    let paid = until_order(&client, &sale, "c", &order, PAID).await;
    assert_eq!((&paid["payment"]["method"], &paid["payment"]["amount"]), (&json!("card"), &json!(1000)));
    assert_eq!(shop.provider.ledger(&sale).await, [(order, 1000, 0)]);
}

#[tokio::test]
async fn a_declined_card_cancels_the_order_and_captures_nothing() {
    let (shop, client) = (shop(), shop().system.client());
    let sale = open_sale(&client, 3600).await;
    let order = order_by_card(&client, &sale, "c", "tok_decline").await;
    let failed = until_order(&client, &sale, "c", &order, ("cancelled", "failed")).await;
    assert_eq!(failed["cancel_reason"], "payment_failed");
    assert_eq!(failed["payment"]["reason"], "card_declined");
    assert_eq!(shop.provider.ledger(&sale).await, [(order, 0, 0)]);
}

#[tokio::test]
async fn a_provider_that_does_not_respond_or_decides_late_is_paid_once() {
    let (shop, client) = (shop(), shop().system.client());
    let sale = open_sale(&client, 3600).await;
    let silent = order_by_card(&client, &sale, "silent", "tok_timeout").await;
    let late = order_by_card(&client, &sale, "late", "tok_late").await;
    until_order(&client, &sale, "silent", &silent, PAID).await;
    until_order(&client, &sale, "late", &late, PAID).await;
    let mut ledger = shop.provider.ledger(&sale).await;
    let mut expected = [(silent, 1000, 0), (late, 1000, 0)];
    ledger.sort();
    expected.sort();
    assert_eq!(ledger, expected);
}

#[tokio::test]
async fn a_duplicate_or_false_callback_changes_nothing() {
    let (shop, client) = (shop(), shop().system.client());
    let sale = open_sale(&client, 3600).await;
    let twice = order_by_card(&client, &sale, "twice", "tok_twice").await;
    let lie = order_by_card(&client, &sale, "lie", "tok_lie").await;
    until_order(&client, &sale, "twice", &twice, PAID).await;
    until_order(&client, &sale, "lie", &lie, PAID).await;
    let refused = ("payment_result".to_string(), "illegal".to_string());
    testkit::until("the false callback is recorded", async || notes(shop, &lie).await.contains(&refused))
        .await;
    for (customer, order) in [("twice", &twice), ("lie", &lie)] {
        let order = get_order(&client, &sale, customer, order).await;
        assert_eq!((&order["status"], &order["payment"]["status"]), (&json!(PAID.0), &json!(PAID.1)));
    }
    assert_eq!(shop.provider.ledger(&sale).await.iter().map(|entry| entry.1).sum::<u64>(), 2000);
}

#[tokio::test]
async fn an_order_that_is_cancelled_while_its_card_is_charged_is_refunded() {
    let (shop, client) = (shop(), shop().system.client());
    let sale = open_sale(&client, 3600).await;
    let order = order_by_card(&client, &sale, "c", "tok_timeout").await;
    // The provider has captured the money, and the response is missing.
    testkit::until("the money is captured", async || shop.provider.ledger(&sale).await.len() == 1).await;
    assert_eq!(get_order(&client, &sale, "c", &order).await["payment"]["status"], "requested");
    assert_eq!(cancel(&client, &sale, "c", &order).await, 202);
    until_order(&client, &sale, "c", &order, ("cancelled", "refunded")).await;
    assert_eq!(shop.provider.ledger(&sale).await, [(order, 1000, 1000)]);
}

#[tokio::test]
async fn a_paid_order_that_is_cancelled_is_refunded_once() {
    let (shop, client) = (shop(), shop().system.client());
    let sale = open_sale(&client, 3600).await;
    let order = order_by_card(&client, &sale, "c", "tok_approve").await;
    until_order(&client, &sale, "c", &order, PAID).await;
    assert_eq!(cancel(&client, &sale, "c", &order).await, 202);
    assert_eq!(cancel(&client, &sale, "c", &order).await, 202);
    until_order(&client, &sale, "c", &order, ("cancelled", "refunded")).await;
    assert_eq!(shop.provider.ledger(&sale).await, [(order, 1000, 1000)]);
}

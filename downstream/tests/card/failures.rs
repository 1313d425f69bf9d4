//! Outages of the provider and crashes of the payments component: no payment is lost, and none is charged twice.

use testkit::{Forwarder, eventually, until};
use uuid::Uuid;

use crate::support::{Shop, cancel, charge, get_order, open_sale, order_by_card, start_process, until_order};

const PAID: (&str, &str) = ("preparing", "captured");

#[tokio::test(flavor = "multi_thread")]
async fn while_the_provider_is_down_payments_wait_and_expired_orders_are_never_charged() {
    let mut shop = Shop::open().await;
    let client = shop.system.client();
    let (forwarder, provider_url) = Forwarder::start_for_url(&shop.provider.url("/")).await;
    let args: Vec<String> = shop.payments_args(&provider_url).collect();
    let listen = args[args.iter().position(|arg| arg == "--payments-listen").expect("given") + 1].clone();
    forwarder.cut();
    shop.payments = Some(crate::support::ComponentThread::start(args.into_iter()));
    let (sale, short) = (open_sale(&client, 3600).await, open_sale(&client, 2).await);
    let mut orders = Vec::new();
    for n in 0..30 {
        let customer = format!("c{n}");
        let order = order_by_card(&client, &sale, &customer, "tok_approve").await;
        orders.push((customer, order));
    }
    let expired = order_by_card(&client, &short, "c", "tok_approve").await;
    until("the circuit opens", async || {
        let ready = reqwest::get(format!("http://{listen}/health/ready")).await;
        let Ok(ready) = ready else { return false };
        let health: serde_json::Value = ready.json().await.expect("JSON");
        health["dependencies"]["provider"]["up"] == false
            && health["dependencies"]["provider"]["why"].as_str().is_some_and(|why| why.contains("circuit"))
    })
    .await;
    until_order(&client, &short, "c", &expired, ("cancelled", "requested")).await;
    for (customer, order) in &orders {
        assert_eq!(get_order(&client, &sale, customer, order).await["status"], "payment_requested");
    }
    assert!(shop.provider.ledger(&sale).await.is_empty());

    forwarder.mend();
    for (customer, order) in &orders {
        until_order(&client, &sale, customer, order, PAID).await;
    }
    until_order(&client, &short, "c", &expired, ("cancelled", "failed")).await;
    let mut charged = shop.provider.ledger(&sale).await;
    let mut expected: Vec<_> = orders.into_iter().map(|(_, order)| (order, 1000, 0)).collect();
    charged.sort();
    expected.sort();
    assert_eq!(charged, expected, "each once");
    assert_eq!(shop.provider.ledger(&short).await, [(expired, 0, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_without_a_response_is_queried_and_a_cancelled_one_is_never_captured() {
    let mut shop = Shop::open_late(600_000).await; // no callback arrives in time
    shop.start_payments(&shop.provider.url(""));
    let (client, sale) = (shop.system.client(), open_sale(&shop.system.client(), 3600).await);
    let silent = order_by_card(&client, &sale, "silent", "tok_timeout").await;
    let pending = order_by_card(&client, &sale, "pending", "tok_late").await;
    until("the provider knows both payments", async || shop.provider.ledger(&sale).await.len() == 2).await;
    assert_eq!(cancel(&client, &sale, "pending", &pending).await, 202);
    until_order(&client, &sale, "silent", &silent, PAID).await;
    let cancelled = until_order(&client, &sale, "pending", &pending, ("cancelled", "failed")).await;
    assert_eq!(cancelled["cancel_reason"], "customer");
    let mut ledger = shop.provider.ledger(&sale).await;
    let mut expected = [(silent, 1000, 0), (pending, 0, 0)];
    ledger.sort();
    expected.sort();
    assert_eq!(ledger, expected);
}

/// The provider captures the money after the client has closed the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_exceeds_the_timeout_is_paid_once_and_reports_by_callbacks() {
    let mut shop = Shop::open().await;
    shop.provider.stop();
    shop.provider.run_with("--provider-latency-ms 1500 --provider-latency-spread-ms 0").await;
    shop.start_payments(&shop.provider.url(""));
    let (client, sale) = (shop.system.client(), open_sale(&shop.system.client(), 3600).await);
    let mut orders = Vec::new();
    for n in 0..8 {
        let customer = format!("c{n}");
        let order = order_by_card(&client, &sale, &customer, "tok_approve").await;
        orders.push((customer, order));
    }
    let declined = order_by_card(&client, &sale, "d", "tok_decline").await;
    for (customer, order) in &orders {
        until_order(&client, &sale, customer, order, PAID).await;
    }
    until_order(&client, &sale, "d", &declined, ("cancelled", "failed")).await;
    let mut charged = shop.provider.ledger(&sale).await;
    let mut expected: Vec<_> = orders.into_iter().map(|(_, order)| (order, 1000, 0)).collect();
    expected.push((declined, 0, 0));
    charged.sort();
    expected.sort();
    assert_eq!(charged, expected, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_that_crash_between_the_charge_and_the_log_charge_once() {
    let shop = Shop::open().await;
    let client = shop.system.client();
    let args: Vec<String> = shop.payments_args(&shop.provider.url("")).collect();
    // The process is killed while it waits for responses that never come. There is no sweep and no callback.
    let args = without(args, "--payment-callback-url");
    let patient = [("--provider-timeout-ms", "10000"), ("--payments-sweep-after-ms", "600000")];
    let patient = patient.into_iter().fold(args.clone(), |args, (name, value)| {
        let own = [name.to_string(), value.to_string()];
        without(args, name).into_iter().chain(own).collect()
    });
    let mut payments = start_process(patient);
    let sale = open_sale(&client, 3600).await;
    let mut orders = Vec::new();
    for customer in ["a", "b", "c"] {
        orders.push((customer, order_by_card(&client, &sale, customer, "tok_timeout").await));
    }
    until("all are charged", async || shop.provider.ledger(&sale).await.len() == orders.len()).await;
    payments.kill();
    for (customer, order) in &orders {
        let order = get_order(&client, &sale, customer, order).await;
        assert_eq!(order["payment"]["status"], "requested", "the result is not in the log");
    }
    let _again = start_process(args);
    for (customer, order) in &orders {
        until_order(&client, &sale, customer, order, PAID).await;
    }
    let mut charged = shop.provider.ledger(&sale).await;
    let mut expected: Vec<_> = orders.into_iter().map(|(_, order)| (order, 1000, 0)).collect();
    charged.sort();
    expected.sort();
    assert_eq!(charged, expected, "each once");
}

/// The callback URL is part of the request. A deployment may change it while a payment is pending.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_the_provider_knows_from_another_request_is_not_voided() {
    let mut shop = Shop::open_late(2000).await;
    let client = shop.system.client();
    let sale = open_sale(&client, 3600).await;
    let order = order_by_card(&client, &sale, "c", "tok_late").await;
    let database = shop.system.database().await;
    let payment_id: Uuid = eventually("the payment is requested", async || {
        let select = "SELECT payment_id FROM payment WHERE sale_id = $1";
        database.query_opt(select, &[&sale]).await.expect("Postgres").map(|row| row.get(0))
    })
    .await;
    let mut earlier = charge(&sale, Some("tok_late"), Some("http://127.0.0.1:1/former"));
    earlier["payment_id"] = payment_id.to_string().into();
    earlier["order_id"] = order.clone().into();
    let (_, pending) = shop.provider.charge(&earlier).await;
    assert_eq!(pending["status"], "pending", "{pending}");
    shop.start_payments(&shop.provider.url(""));
    until_order(&client, &sale, "c", &order, PAID).await;
    assert_eq!(shop.provider.ledger(&sale).await, [(order, 1000, 0)]);
}

fn without(mut args: Vec<String>, name: &str) -> Vec<String> {
    let at = args.iter().position(|arg| arg == name).expect("the argument is given");
    args.drain(at..at + 2);
    args
}

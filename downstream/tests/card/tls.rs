//! Payments over TLS: only trusted servers get charges and callbacks.

use testkit::{fresh, until};

use crate::support::tls::Authority;
use crate::support::{
    ComponentThread, Merchant, Provider, Shop, charge, get_order, open_sale, order_by_card, until_order,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_provider_gets_no_charge_and_payments_wait_until_it_is_trusted() {
    let mut shop = Shop::open().await;
    let authority = Authority::new();
    let url = format!("https://{}", authority.tls_proxy(shop.provider.address).await);
    let args: Vec<String> = shop.payments_args(&url).collect();
    let listen = args[args.iter().position(|arg| arg == "--payments-listen").expect("given") + 1].clone();
    shop.payments = Some(ComponentThread::start(args.clone().into_iter()));
    let (client, sale) = (shop.system.client(), open_sale(&shop.system.client(), 3600).await);
    let order = order_by_card(&client, &sale, "c", "tok_approve").await;
    until("the health check reports why", async || {
        let Ok(ready) = reqwest::get(format!("http://{listen}/health/ready")).await else { return false };
        let health: serde_json::Value = ready.json().await.expect("JSON");
        health["dependencies"]["provider"]["why"]
            .as_str()
            .is_some_and(|why| why.contains("circuit") && why.contains("UnknownIssuer"))
    })
    .await;
    assert_eq!(get_order(&client, &sale, "c", &order).await["status"], "payment_requested");
    assert!(shop.provider.ledger(&sale).await.is_empty());

    shop.payments = None;
    let ca = ["--tls-ca-file".to_string(), authority.file("ca.pem")];
    shop.payments = Some(ComponentThread::start(args.into_iter().chain(ca)));
    until_order(&client, &sale, "c", &order, ("preparing", "captured")).await;
    assert_eq!(shop.provider.ledger(&sale).await, [(order, 1000, 0)]);
}

#[tokio::test]
async fn a_callback_waits_until_the_merchant_is_trusted() {
    let (mut provider, merchant, authority) =
        (Provider::start().await, Merchant::start(0).await, Authority::new());
    let through = authority.tls_proxy(merchant.address()).await;
    let paid = charge(&fresh("s"), None, Some(&format!("https://{through}/callback")));
    provider.charge(&paid).await;
    until("it was attempted more than once", async || authority.refused() >= 2).await;
    assert!(merchant.callbacks(&paid).is_empty());
    provider.stop();
    provider.run_with(&format!("--tls-ca-file {}", authority.file("ca.pem"))).await;
    until("the callback is accepted", async || merchant.callbacks(&paid).len() == 1).await;
    assert!(merchant.callbacks(&paid)[0].2, "the callback is signed");
}

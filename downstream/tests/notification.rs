//! What customers are told, by a real SMTP server and to a receiver that checks signatures.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::time::Duration;

use clap::Parser;
use contract::ids::{OrderId, SaleId};
use contract::lifecycle::CancelReason;
use contract::lifecycle::OrderStatus::{
    self, Cancelled, Created, Delivered, PaymentCompleted, PaymentFailed, Refunded, Shipped,
};
use downstream::notification::{self, NotificationSettings};
use process::walltime;
use support::receiver::{Receiver, SECRET};
use support::tls::Authority;
use support::{Bench, Started, database};
use testkit::system::free_address;
use testkit::{MailServer, until};
use tokio_postgres::Client;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    settings: NotificationSettings,
}

/// A sale and its orders in Postgres, as settlement writes them.
struct Shop {
    db: Client,
    bench: Bench,
    sale: SaleId,
}

impl Shop {
    async fn start() -> Self {
        let (url, db) = database().await;
        let sale = SaleId::parse(&testkit::fresh("s")).unwrap();
        let insert = "INSERT INTO sale (sale_id, partition, title, currency, hold_seconds, delivery_fee) \
                      VALUES ($1, 0, 'Spring sale', 'KRW', 3600, 1000)";
        db.execute(insert, &[&sale.as_str()]).await.unwrap();
        Self { db, bench: Bench::start(&url).await, sale }
    }

    async fn order(&self, sequence: i64, email: Option<&str>) -> OrderId {
        let order = support::order();
        let insert = "INSERT INTO customer_order (order_id, sale_id, customer_id, customer_email, status, sequence, \
             epoch, subtotal, discount, delivery_fee, total, currency, idempotency_key, request_digest, \
             hold_seconds, hold_expires_at, accepted_at, updated_at) \
             VALUES ($1, $2, 'c-1', $3, 'created', $4, 1, 9000, 0, 1000, 10000, 'KRW', gen_random_uuid()::text, '', 60, now(), \
             now(), now())";
        self.db.execute(insert, &[&order.0, &self.sale.as_str(), &email, &sequence]).await.unwrap();
        order
    }

    async fn publish(&self, id: &str, order: OrderId, status: OrderStatus) {
        self.bench.publish(id, &support::event(order, &self.sale, status, walltime::now())).await;
    }

    async fn notifications(&self, args: &[&str]) -> Started {
        let (host, listen) = (self.bench.host(), free_address());
        let own = ["test", "--notification-listen", &listen.to_string(), "--second-try-after-ms", "300"];
        let settings = Arguments::parse_from(own.iter().chain(args)).settings;
        let of_task = host.clone();
        let work = async move { notification::run(&of_task, settings).await.unwrap() };
        Started::new(host, listen, work).await
    }

    /// Waits until these channels fail, and an operator is told why.
    async fn until_missed(&self, group: &Started, channels: &[&str], why: &str) {
        until(&format!("{channels:?} fail: {why}"), async || {
            let health = group.get("/health/ready").await;
            let told = |channel: &&str| {
                health["dependencies"][channel]["why"].as_str().is_some_and(|w| w.contains(why))
            };
            channels.iter().all(told)
        })
        .await;
    }

    async fn remembered(&self) -> i64 {
        self.db.query_one("SELECT count(*) FROM notification", &[]).await.unwrap().get(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_once_by_each_channel_whatever_comes_twice() {
    let (shop, mail, receiver) = (Shop::start().await, MailServer::start().await, Receiver::start().await);
    let args = [
        "--smtp-url",
        &mail.url(),
        "--notification-language",
        "en",
        "--notification-webhook-url",
        &receiver.url(),
        "--notification-webhook-secret",
        SECRET,
    ];
    let group = shop.notifications(&args).await;
    let (one, other) = (shop.order(1, Some("kim@example.com")).await, shop.order(2, None).await);
    let courier = "INSERT INTO delivery (delivery_id, order_id, sale_id, partition, kind, status, tracking_number, \
        courier, started_at, last_status_message, updated_at) \
        VALUES ($1, $1, $2, 0, 'ship', 'shipped', 'TRACK-7', 'Hanjin', now(), '', now())";
    shop.db.execute(courier, &[&one.0, &shop.sale.as_str()]).await.unwrap();
    let statuses = [Created, PaymentCompleted, Shipped, Delivered, Refunded];
    for (seq, status) in statuses.into_iter().enumerate() {
        shop.publish(&format!("0-{seq}"), one, status).await;
    }
    shop.publish("0-7", other, PaymentFailed).await;
    let mut expired = support::event(other, &shop.sale, Cancelled, walltime::now());
    expired.cancel_reason = Some(CancelReason::PaymentFailed);
    shop.bench.publish("0-8", &expired).await; // was told already
    let third = shop.order(3, Some("lee@example.com")).await;
    let mut expired = support::event(third, &shop.sale, Cancelled, walltime::now());
    expired.cancel_reason = Some(CancelReason::Expired);
    shop.bench.publish("0-9", &expired).await;
    until("all is told", async || receiver.received().len() == 6 && mail.mails().len() == 5).await;

    // Settlement may publish an event again.
    shop.publish("0-2", one, Shipped).await;
    shop.publish("0-1", one, PaymentCompleted).await;
    let last = shop.order(4, None).await;
    shop.publish("0-10", last, PaymentCompleted).await;
    shop.publish("0-11", one, Refunded).await; // of the same order, behind the doubles
    until("what came behind the doubles is told", async || {
        receiver
            .received()
            .iter()
            .filter(|one| ["order_0-10", "order_0-11"].contains(&one.id.as_str()))
            .count()
            == 2
            && mail.mails().len() == 6
    })
    .await;
    assert_eq!((receiver.received().len(), receiver.refused()), (8, 0));

    let mails = mail.mails();
    let shipped: Vec<_> = mails.iter().filter(|mail| mail.contains("TRACK-7")).collect();
    assert_eq!(shipped.len(), 1, "{mails:?}");
    for part in [
        "Subject: Your order from Spring sale is on its way",
        "Message-ID: <0-2.order@flashsale.example>",
        "To: kim@example.com",
        "Hanjin",
        &one.to_string(),
    ] {
        assert!(shipped[0].contains(part), "{part} is not in:\n{}", shipped[0]);
    }
    assert!(mails.iter().any(|mail| mail.contains("To: lee@example.com") && mail.contains("has expired")));
    let hook = receiver.received().into_iter().find(|one| one.id == "order_0-1").unwrap();
    assert_eq!(hook.body["type"], "order.payment_completed");
    assert_eq!(hook.body["data"]["kind"], "payment_completed");
    assert_eq!(hook.body["data"]["order"]["order_id"], one.to_string());
    assert!(hook.body["data"]["en"]["text"].as_str().unwrap().contains("10,000 KRW"), "{}", hook.body);
    assert!(hook.body["data"]["ko"]["subject"].as_str().unwrap().contains("결제가 완료"), "{}", hook.body);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_fails_is_tried_again_alone() {
    let (shop, mail, receiver) = (Shop::start().await, MailServer::start().await, Receiver::start().await);
    let args = [
        "--smtp-url",
        &mail.url(),
        "--notification-webhook-url",
        &receiver.url(),
        "--notification-webhook-secret",
        SECRET,
        "--third-try-after-ms",
        "1500",
    ];
    let group = shop.notifications(&args).await;
    receiver.answer(503);
    let order = shop.order(1, Some("kim@example.com")).await;
    shop.publish("0-1", order, PaymentCompleted).await;
    until("the mail is out", async || mail.mails().len() == 1).await;
    until("the webhook has failed twice", async || receiver.put_off() == 2).await;
    receiver.answer(200);
    until("the webhook is out", async || receiver.received().len() == 1).await;
    until("both are remembered", async || shop.remembered().await == 2).await;
    assert_eq!(mail.mails().len(), 1, "the mail was not sent again");
    assert!(mail.mails()[0].contains("Subject: [Spring sale] =?utf-8?b?"), "in Korean: {}", mail.mails()[0]);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_before_a_restart_is_not_told_again() {
    let (shop, receiver) = (Shop::start().await, Receiver::start().await);
    let args = ["--notification-webhook-url", &receiver.url(), "--notification-webhook-secret", SECRET];
    let order = shop.order(1, None).await;
    shop.publish("0-1", order, PaymentCompleted).await;
    let group = shop.notifications(&args).await;
    until("it is told and remembered", async || shop.remembered().await == 1).await;
    group.stop().await;
    // As if the position had been lost: the topic is told anew from its beginning.
    shop.publish("0-1", order, PaymentCompleted).await;
    shop.publish("0-2", order, Shipped).await;
    let group = shop.notifications(&args).await;
    until("what is new is told", async || receiver.received().len() >= 2).await;
    group.stop().await;
    let ids: Vec<_> = receiver.received().into_iter().map(|one| one.id).collect();
    assert_eq!(ids, ["order_0-1", "order_0-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_costs_no_message() {
    let (shop, receiver) = (Shop::start().await, Receiver::start().await);
    let (way, through) = testkit::Forwarder::start_for_url(&shop.bench.services.database_url).await;
    let bench = Bench::on(&through, &shop.bench.services.topic_prefix).await;
    let shop = Shop { bench, ..shop };
    let args = ["--notification-webhook-url", &receiver.url(), "--notification-webhook-secret", SECRET];
    let group = shop.notifications(&args).await;
    let (one, other) = (shop.order(1, None).await, shop.order(2, None).await);
    shop.publish("0-1", one, PaymentCompleted).await;
    until("it is told", async || shop.remembered().await == 1).await;
    way.cut();
    shop.publish("0-2", other, PaymentCompleted).await;
    until("Postgres is missed", async || {
        reqwest::get(format!("{}/health/ready", group.url)).await.unwrap().status() == 503
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await; // longer than the pause before the second try
    way.mend();
    until("it is told, too", async || shop.remembered().await == 2).await;
    assert_eq!(receiver.received().len(), 2);
    let letters = group.get("/dead-letters").await;
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 0, "{letters}");
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_whoever_is_not_believed_is_told_nothing_and_the_message_waits_until_it_is() {
    let (shop, receiver, authority) = (Shop::start().await, Receiver::start().await, Authority::new());
    let [ca, certificate, key] = ["ca.pem", "server.pem", "server.key"].map(|name| authority.file(name));
    let hook = format!("https://{}/hooks", authority.to(receiver.address()).await);
    let starttls = MailServer::start_with(&["--tlscert", &certificate, "--tlskey", &key]).await;
    let tls = MailServer::start_with(&["--smtpscert", &certificate, "--smtpskey", &key]).await;
    let ways = [
        (&starttls, format!("smtp://{}?tls=required", starttls.address())),
        (&tls, format!("smtps://{}", tls.address())),
    ];
    for (told, (mail, url)) in ways.iter().enumerate() {
        let hook = ["--notification-webhook-url", &hook, "--notification-webhook-secret", SECRET];
        let args = [&["--smtp-url", url, "--third-try-after-ms", "4000"], &hook[..]].concat();
        let group = shop.notifications(&args).await;
        let order = shop.order(told as i64, Some("kim@example.com")).await;
        shop.publish(&format!("0-{told}"), order, PaymentCompleted).await;
        shop.until_missed(&group, &["email", "webhook"], "UnknownIssuer").await;
        group.stop().await;
        assert_eq!((mail.mails().len(), receiver.received().len()), (0, told));
        assert_eq!(shop.remembered().await, 2 * told as i64, "it is not told");

        let group = shop.notifications(&[&args[..], &["--tls-ca-file", &ca]].concat()).await;
        until("it is told", async || shop.remembered().await == 2 * (told as i64 + 1)).await;
        assert_eq!((mail.mails().len(), receiver.received().len()), (1, told + 1));
        group.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tls_is_required_nothing_is_told_in_the_clear() {
    let (shop, mail) = (Shop::start().await, MailServer::start().await);
    let group = shop.notifications(&["--smtp-url", &format!("{}?tls=required", mail.url())]).await;
    let order = shop.order(1, Some("kim@example.com")).await;
    shop.publish("0-1", order, PaymentCompleted).await;
    shop.until_missed(&group, &["email"], "STARTTLS").await;
    group.stop().await;
    assert_eq!((mail.mails().len(), shop.remembered().await), (0, 0));
}

/// The last try comes when the target is back.
#[tokio::test(flavor = "multi_thread")]
async fn while_a_target_is_down_its_orders_wait_in_their_order_and_nothing_is_lost_or_told_twice() {
    let (shop, mail, receiver) = (Shop::start().await, MailServer::start().await, Receiver::start().await);
    let (way, hook) = testkit::Forwarder::start_for_url(&receiver.url()).await;
    let group = shop
        .notifications(&[
            "--smtp-url",
            &mail.url(),
            "--notification-webhook-url",
            &hook,
            "--notification-webhook-secret",
            SECRET,
            "--third-try-after-ms",
            "8000",
        ])
        .await;
    let mut orders = Vec::new();
    for n in 0..4 {
        orders.push(shop.order(n, Some("kim@example.com")).await);
    }
    let statuses = [PaymentCompleted, Shipped, Delivered];
    let all = orders.len() * statuses.len();
    let waiting = async || shop.bench.records(notification::GROUP.retry.name).await;
    way.cut();
    for (seq, status) in statuses.into_iter().enumerate() {
        for (n, order) in orders.iter().enumerate() {
            shop.publish(&format!("{n}-{seq}"), *order, status).await;
        }
        let so_far = (orders.len() * (seq + 1)) as i64;
        until("they wait to be tried again", async || waiting().await >= so_far).await;
    }
    shop.until_missed(&group, &["webhook"], "webhook").await;
    assert_eq!(
        mail.mails().len(),
        orders.len(),
        "what comes later in an order waits behind its first message"
    );
    assert!(receiver.received().is_empty());

    way.mend();
    until("everything is remembered", async || shop.remembered().await == 2 * all as i64).await;
    assert_eq!((mail.mails().len(), receiver.received().len(), receiver.refused()), (all, all, 0));
    for n in 0..orders.len() {
        let of_order: Vec<String> = receiver
            .received()
            .into_iter()
            .map(|one| one.id)
            .filter(|id| id.starts_with(&format!("order_{n}-")))
            .collect();
        assert_eq!(of_order, [0, 1, 2].map(|seq| format!("order_{n}-{seq}")));
    }
    let letters = group.get("/dead-letters").await;
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 0, "{letters}");
    group.stop().await;
}

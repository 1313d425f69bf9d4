//! Notifications, with a real SMTP server and a webhook receiver that verifies signatures.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

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
use testkit::claim_address;
use testkit::{MailServer, until};
use tokio_postgres::Client;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    settings: NotificationSettings,
}

/// A sale and its orders in Postgres, written as settlement writes them.
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

    async fn insert_delivery(&self, order: OrderId) {
        let insert = "INSERT INTO delivery (delivery_id, order_id, sale_id, partition, kind, status, tracking_number, \
            courier, started_at, last_status_message, updated_at) \
            VALUES ($1, $1, $2, 0, 'ship', 'shipped', 'TRACK-7', 'Hanjin', now(), '', now())";
        self.db.execute(insert, &[&order.0, &self.sale.as_str()]).await.unwrap();
    }

    async fn publish(&self, id: &str, order: OrderId, status: OrderStatus) {
        self.bench.publish(id, &support::event(order, &self.sale, status, walltime::now())).await;
    }

    async fn notifications(&self, args: &[&str]) -> Started {
        let (host, listen) = (self.bench.host(), claim_address());
        let own = ["test", "--notification-listen", &listen.to_string(), "--second-try-after-ms", "300"];
        let settings = Arguments::parse_from(own.iter().chain(args)).settings;
        let task_host = host.clone();
        let work = async move { notification::run(&task_host, settings).await.unwrap() };
        Started::new(host, listen, work).await
    }

    /// Waits until these channels fail and the health check reports why.
    async fn until_down(&self, group: &Started, channels: &[&str], why: &str) {
        until(&format!("{channels:?} fail: {why}"), async || {
            let health = group.get("/health/ready").await;
            let is_reported = |channel: &&str| {
                health["dependencies"][channel]["why"].as_str().is_some_and(|w| w.contains(why))
            };
            channels.iter().all(is_reported)
        })
        .await;
    }

    async fn stored(&self) -> i64 {
        self.db.query_one("SELECT count(*) FROM notification", &[]).await.unwrap().get(0)
    }
}

/// Asserts that one e-mail says that the order is shipped, with everything that the customer needs.
fn check_shipped_mail(mail: &MailServer, order: OrderId) {
    let mails = mail.mails();
    let shipped: Vec<_> = mails.iter().filter(|mail| mail.contains("TRACK-7")).collect();
    assert_eq!(shipped.len(), 1, "{mails:?}");
    for part in [
        "Subject: Your order from Spring sale is on its way",
        "Message-ID: <0-2.order@flashsale.example>",
        "To: kim@example.com",
        "Hanjin",
        &order.to_string(),
    ] {
        assert!(shipped[0].contains(part), "{part} is not in:\n{}", shipped[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_notified_once_by_each_channel_if_events_are_duplicated() {
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
    let (order, other) = (shop.order(1, Some("kim@example.com")).await, shop.order(2, None).await);
    shop.insert_delivery(order).await;
    let statuses = [Created, PaymentCompleted, Shipped, Delivered, Refunded];
    for (seq, status) in statuses.into_iter().enumerate() {
        shop.publish(&format!("0-{seq}"), order, status).await;
    }
    shop.publish("0-7", other, PaymentFailed).await;
    let mut failed = support::event(other, &shop.sale, Cancelled, walltime::now());
    failed.cancel_reason = Some(CancelReason::PaymentFailed);
    shop.bench.publish("0-8", &failed).await; // the message about the failed payment says so
    let third = shop.order(3, Some("lee@example.com")).await;
    let mut expired = support::event(third, &shop.sale, Cancelled, walltime::now());
    expired.cancel_reason = Some(CancelReason::Expired);
    shop.bench.publish("0-9", &expired).await;
    until("all notifications are sent", async || receiver.received().len() == 6 && mail.mails().len() == 5)
        .await;

    // Settlement may publish an event twice.
    shop.publish("0-2", order, Shipped).await;
    shop.publish("0-1", order, PaymentCompleted).await;
    let last = shop.order(4, None).await;
    shop.publish("0-10", last, PaymentCompleted).await;
    shop.publish("0-11", order, Refunded).await; // an event of the same order, behind the duplicates
    until("the notifications behind the duplicates are sent", async || {
        receiver
            .received()
            .iter()
            .filter(|hook| ["order_0-10", "order_0-11"].contains(&hook.id.as_str()))
            .count()
            == 2
            && mail.mails().len() == 6
    })
    .await;
    assert_eq!((receiver.received().len(), receiver.unverified()), (8, 0));

    check_shipped_mail(&mail, order);
    let mails = mail.mails();
    assert!(mails.iter().any(|mail| mail.contains("To: lee@example.com") && mail.contains("has expired")));
    let hook = receiver.received().into_iter().find(|hook| hook.id == "order_0-1").unwrap();
    assert_eq!(hook.body["type"], "order.payment_completed");
    assert_eq!(hook.body["data"]["kind"], "payment_completed");
    assert_eq!(hook.body["data"]["order"]["order_id"], order.to_string());
    assert!(hook.body["data"]["en"]["text"].as_str().unwrap().contains("10,000 KRW"), "{}", hook.body);
    assert!(hook.body["data"]["ko"]["subject"].as_str().unwrap().contains("결제가 완료"), "{}", hook.body);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_fails_is_retried_alone() {
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
    receiver.respond_with(503);
    let order = shop.order(1, Some("kim@example.com")).await;
    shop.publish("0-1", order, PaymentCompleted).await;
    until("the e-mail is sent", async || mail.mails().len() == 1).await;
    until("the webhook has failed twice", async || receiver.rejected() == 2).await;
    receiver.respond_with(200);
    until("the webhook is sent", async || receiver.received().len() == 1).await;
    until("both are stored", async || shop.stored().await == 2).await;
    assert_eq!(mail.mails().len(), 1, "the e-mail is not sent again");
    assert!(mail.mails()[0].contains("Subject: [Spring sale] =?utf-8?b?"), "in Korean: {}", mail.mails()[0]);
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_not_sent_again_after_a_restart() {
    let (shop, receiver) = (Shop::start().await, Receiver::start().await);
    let args = ["--notification-webhook-url", &receiver.url(), "--notification-webhook-secret", SECRET];
    let order = shop.order(1, None).await;
    shop.publish("0-1", order, PaymentCompleted).await;
    let group = shop.notifications(&args).await;
    until("the notification is sent and stored", async || shop.stored().await == 1).await;
    group.stop().await;
    // A lost position has the same effect: the events are delivered again.
    shop.publish("0-1", order, PaymentCompleted).await;
    shop.publish("0-2", order, Shipped).await;
    let group = shop.notifications(&args).await;
    until("the new notification is sent", async || receiver.received().len() >= 2).await;
    group.stop().await;
    let ids: Vec<_> = receiver.received().into_iter().map(|hook| hook.id).collect();
    assert_eq!(ids, ["order_0-1", "order_0-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_loses_no_message() {
    let (shop, receiver) = (Shop::start().await, Receiver::start().await);
    let (forwarder, through) = testkit::Forwarder::start_for_url(&shop.bench.services.database_url).await;
    let bench = Bench::on(&through, &shop.bench.services.topic_prefix).await;
    let shop = Shop { bench, ..shop };
    let args = ["--notification-webhook-url", &receiver.url(), "--notification-webhook-secret", SECRET];
    let group = shop.notifications(&args).await;
    let (first, second) = (shop.order(1, None).await, shop.order(2, None).await);
    shop.publish("0-1", first, PaymentCompleted).await;
    until("the notification is sent", async || shop.stored().await == 1).await;
    forwarder.cut();
    shop.publish("0-2", second, PaymentCompleted).await;
    until("Postgres is reported as down", async || {
        reqwest::get(format!("{}/health/ready", group.url)).await.unwrap().status() == 503
    })
    .await;
    let refused = forwarder.refused_connections();
    until("it has tried again", async || forwarder.refused_connections() > refused + 1).await;
    forwarder.mend();
    until("the second notification is sent", async || shop.stored().await == 2).await;
    assert_eq!(receiver.received().len(), 2);
    let letters = group.get("/dead-letters").await;
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 0, "{letters}");
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_an_untrusted_server_and_the_message_waits_until_it_is_trusted() {
    let (shop, receiver, authority) = (Shop::start().await, Receiver::start().await, Authority::new());
    let [ca, certificate, key] = ["ca.pem", "server.pem", "server.key"].map(|name| authority.file(name));
    let hook = format!("https://{}/hooks", authority.tls_proxy(receiver.address()).await);
    let starttls = MailServer::start_with(&["--tlscert", &certificate, "--tlskey", &key]).await;
    let tls = MailServer::start_with(&["--smtpscert", &certificate, "--smtpskey", &key]).await;
    let servers = [
        (&starttls, format!("smtp://{}?tls=required", starttls.address())),
        (&tls, format!("smtps://{}", tls.address())),
    ];
    for (sent, (mail, url)) in servers.iter().enumerate() {
        let hook = ["--notification-webhook-url", &hook, "--notification-webhook-secret", SECRET];
        let args = [&["--smtp-url", url, "--third-try-after-ms", "4000"], &hook[..]].concat();
        let group = shop.notifications(&args).await;
        let order = shop.order(sent as i64, Some("kim@example.com")).await;
        shop.publish(&format!("0-{sent}"), order, PaymentCompleted).await;
        shop.until_down(&group, &["email", "webhook"], "UnknownIssuer").await;
        group.stop().await;
        assert_eq!((mail.mails().len(), receiver.received().len()), (0, sent));
        assert_eq!(shop.stored().await, 2 * sent as i64, "nothing is sent");

        let group = shop.notifications(&[&args[..], &["--tls-ca-file", &ca]].concat()).await;
        until("the notification is sent", async || shop.stored().await == 2 * (sent as i64 + 1)).await;
        assert_eq!((mail.mails().len(), receiver.received().len()), (1, sent + 1));
        group.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_unencrypted_if_tls_is_required() {
    let (shop, mail) = (Shop::start().await, MailServer::start().await);
    let group = shop.notifications(&["--smtp-url", &format!("{}?tls=required", mail.url())]).await;
    let order = shop.order(1, Some("kim@example.com")).await;
    shop.publish("0-1", order, PaymentCompleted).await;
    shop.until_down(&group, &["email"], "STARTTLS").await;
    group.stop().await;
    assert_eq!((mail.mails().len(), shop.stored().await), (0, 0));
}

/// The last try falls after the end of the outage.
#[tokio::test(flavor = "multi_thread")]
async fn during_an_outage_of_a_receiver_events_wait_in_order_and_none_is_lost_or_sent_twice() {
    let (shop, mail, receiver) = (Shop::start().await, MailServer::start().await, Receiver::start().await);
    let (forwarder, hook) = testkit::Forwarder::start_for_url(&receiver.url()).await;
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
    forwarder.cut();
    for (seq, status) in statuses.into_iter().enumerate() {
        for (n, order) in orders.iter().enumerate() {
            shop.publish(&format!("{n}-{seq}"), *order, status).await;
        }
        let so_far = (orders.len() * (seq + 1)) as i64;
        until("the events wait for a retry", async || waiting().await >= so_far).await;
    }
    shop.until_down(&group, &["webhook"], "webhook").await;
    assert_eq!(mail.mails().len(), orders.len(), "later events of an order wait behind the first one");
    assert!(receiver.received().is_empty());

    forwarder.mend();
    until("everything is stored", async || shop.stored().await == 2 * all as i64).await;
    assert_eq!((mail.mails().len(), receiver.received().len(), receiver.unverified()), (all, all, 0));
    for n in 0..orders.len() {
        let order_ids: Vec<String> = receiver
            .received()
            .into_iter()
            .map(|hook| hook.id)
            .filter(|id| id.starts_with(&format!("order_{n}-")))
            .collect();
        assert_eq!(order_ids, [0, 1, 2].map(|seq| format!("order_{n}-{seq}")));
    }
    let letters = group.get("/dead-letters").await;
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 0, "{letters}");
    group.stop().await;
}

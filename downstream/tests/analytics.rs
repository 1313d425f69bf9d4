//! Analytics: every event is counted once, duplicates included, and the admin API reports the aggregates.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use clap::Parser;
use contract::ids::SaleId;
use contract::lifecycle::CancelReason;
use contract::lifecycle::OrderStatus::{self, *};
use contract::timestamp::Timestamp;
use contract::topics::ORDER_EVENTS;
use downstream::analytics::{self, AnalyticsSettings};
use hyper::Method;
use serde_json::json;
use support::{Bench, Started, database};
use testkit::claim_address;
use testkit::system::{Shape, System};
use testkit::{client, eventually, until};
use tokio_postgres::Client;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    settings: AnalyticsSettings,
}

async fn start(bench: &Bench) -> Started {
    let (host, listen) = (bench.host(), claim_address());
    let listen_text = listen.to_string();
    // Small batches make more transactions that can fail.
    let own =
        ["test", "--analytics-listen", &listen_text, "--batch-wait-ms", "20", "--batch-events-max", "7"];
    let settings = Arguments::parse_from(own).settings;
    let task_host = host.clone();
    let work = async move { analytics::run(&task_host, settings).await.unwrap() };
    Started::new(host, listen, work).await
}

/// Reads one column of a sale's aggregates.
async fn count(db: &Client, sale: &SaleId, column: &str) -> i64 {
    let select = format!("SELECT {column} FROM analytics_sale WHERE sale_id = $1");
    let row = db.query_opt(&select, &[&sale.as_str()]).await.unwrap();
    row.map_or(0, |row| row.get(0))
}

/// Publishes the events of order `n`, ten minutes apart, every other one of them twice.
async fn publish_order(bench: &Bench, sale: &SaleId, n: u64, states: &[OrderStatus]) {
    let order = support::order();
    for (step, status) in states.iter().enumerate() {
        let time = Timestamp(1_790_000_000_000 + n * 500 + step as u64 * 600_000);
        let mut event = support::event(order, sale, *status, time);
        if n % 2 == 1 && *status == Cancelled {
            event.cancel_reason = Some(CancelReason::Expired);
        }
        bench.publish(&format!("0-{}", n * 100 + step as u64), &event).await;
        if step % 2 == 0 {
            bench.publish(&format!("0-{}", n * 100 + step as u64), &event).await; // a duplicate
        }
    }
}

/// Asserts the aggregates of the orders that the test below publishes.
async fn check_aggregates(db: &Client, sale: &SaleId) {
    for (column, expected) in [
        ("accepted", 17),
        ("payment_requested", 10),
        ("paid", 12),
        ("expired", 2),
        ("cancelled", 3),
        ("shipped", 11),
        ("delivered", 11),
        ("refund_requested", 1),
        ("refunded", 1),
        ("captured", 120_000),
        ("returned", 20_000),
    ] {
        assert_eq!(count(db, sale, column).await, expected, "{column}");
    }
    let select = "SELECT sum(accepted)::bigint, max(accepted) FROM analytics_second WHERE sale_id = $1";
    let row = db.query_one(select, &[&sale.as_str()]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (17, 2), "two orders a second were accepted");
    let select = "SELECT sum(shipped)::bigint, sum(delivered)::bigint, sum(preparation_ms)::bigint, \
                  sum(delivery_ms)::bigint FROM analytics_hour WHERE sale_id = $1";
    let row = db.query_one(select, &[&sale.as_str()]).await.unwrap();
    let numbers = [0, 1, 2, 3].map(|column| row.get::<_, i64>(column));
    let (ten_minutes, twenty_minutes) = (600_000, 1_200_000);
    assert_eq!(numbers, [11, 11, 10 * twenty_minutes + ten_minutes, 10 * twenty_minutes + ten_minutes]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_counted_once_through_duplicates_restarts_and_concurrent_processes() {
    let (url, db) = database().await;
    let bench = Bench::start(&url).await;
    let sale = SaleId::parse(&testkit::fresh("s")).unwrap();
    let delivered = [Created, PaymentRequested, PaymentCompleted, Preparing, Shipped, InTransit, Delivered];
    let group = start(&bench).await;
    for n in 0..10 {
        publish_order(&bench, &sale, n, &delivered).await;
    }
    until("the first events are counted", async || count(&db, &sale, "accepted").await > 0).await;
    group.stop().await;
    for n in 10..14 {
        publish_order(&bench, &sale, n, &[Created, Cancelled]).await; // two of them expire
    }
    let (one, two) = (start(&bench).await, start(&bench).await);
    publish_order(&bench, &sale, 14, &[Created, PaymentCompleted, Preparing, Cancelled]).await;
    publish_order(
        &bench,
        &sale,
        15,
        &[Created, PaymentCompleted, Shipped, Delivered, RefundRequested, Refunded],
    )
    .await;
    bench.write(ORDER_EVENTS.name, None, "k", b"nonsense", &[]).await;
    until("all events are counted", async || {
        count(&db, &sale, "refunded").await == 1
            && count(&db, &sale, "cancelled").await == 3
            && count(&db, &sale, "delivered").await == 11
            && count(&db, &sale, "expired").await == 2
    })
    .await;
    two.stop().await;
    // Lost positions: everything is read again, and not counted again.
    db.execute("UPDATE analytics_position SET next_offset = 0 WHERE topic LIKE '%order-events'", &[])
        .await
        .unwrap();
    one.stop().await;
    let again = start(&bench).await;
    publish_order(&bench, &sale, 16, &[Created]).await;
    until("the last event is counted", async || count(&db, &sale, "accepted").await == 17).await;
    until("everything is read", async || {
        let ends = "SELECT sum(next_offset)::bigint FROM analytics_position WHERE topic LIKE '%order-events'";
        // 10 x 7 events and 4 duplicates each, 4 x 2 and 1, 4 and 2, 6 and 3, 1 and 1; one undecodable record.
        let expected = 10 * 11 + 4 * 3 + 6 + 9 + 2 + 1;
        db.query_one(ends, &[]).await.unwrap().get::<_, i64>(0) == expected
    })
    .await;

    check_aggregates(&db, &sale).await;
    let letters = again.get("/dead-letters").await["dead_letters"].clone();
    assert!(!letters.as_array().unwrap().is_empty(), "an undecodable record is a dead letter");
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_batches_cannot_be_stored_the_health_check_says_so_and_no_event_is_lost() {
    let (url, db) = database().await;
    let (bench, sale) = (Bench::start(&url).await, SaleId::parse(&testkit::fresh("s")).unwrap());
    let group = start(&bench).await;
    db.batch_execute("ALTER TABLE analytics_second RENAME TO elsewhere").await.unwrap();
    publish_order(&bench, &sale, 0, &[Created, Cancelled]).await;
    until("the health check reports the error", async || {
        let health = group.get("/health/ready").await;
        health["ready"] == false
            && health["dependencies"]["counting"]["why"]
                .as_str()
                .is_some_and(|why| why.contains("analytics_second"))
    })
    .await;
    assert_eq!(count(&db, &sale, "accepted").await, 0, "a batch is stored as a whole or not at all");
    db.batch_execute("ALTER TABLE elsewhere RENAME TO analytics_second").await.unwrap();
    until("the events are counted", async || count(&db, &sale, "cancelled").await == 1).await;
    assert_eq!(count(&db, &sale, "accepted").await, 1);
    until("the process is ready again", async || group.get("/health/ready").await["ready"] == true).await;
    group.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_shows_the_aggregates_of_a_sale() {
    let system = System::start(Shape::default()).await;
    let client = system.client();
    let bench = Bench::on(&system.database_url, &system.topic_prefix).await;
    let group = start(&bench).await;
    let sale = testkit::fresh("s");
    client.open_sale(&sale, client::terms(&[("MUG", 1000, Some(3)), ("PEN", 10, None)])).await;
    client.until_sale(&sale, "open", true).await;
    let mut orders = vec![];
    for n in 0..3 {
        let customer = format!("c-{n}");
        let answer =
            client.order_until_answered(&sale, &customer, "k", &client::order_body(&[("MUG", 1)])).await;
        orders.push((customer, answer.order_id()));
    }
    let report = async || client.admin(Method::GET, &format!("/admin/v1/sales/{sale}/report"), None).await;
    let sold_out = eventually("the mugs are sold out", async || {
        let body = report().await.body;
        (body["funnel"]["accepted"] == 3 && body["sell_out"]["sold_out_at"].is_string()).then_some(body)
    })
    .await;
    assert_eq!(sold_out["sell_out"]["items"].as_array().unwrap().len(), 1, "pens never sell out: {sold_out}");
    assert_eq!(sold_out["sell_out"]["items"][0]["sku"], "MUG");
    // The time is that of the order that reserved the last unit.
    let db = system.database().await;
    let last = "SELECT api_time(max(at)) FROM order_event JOIN customer_order USING (order_id) \
                WHERE sale_id = $1 AND order_event.status = 'created'";
    let last: String = db.query_one(last, &[&sale]).await.unwrap().get(0);
    assert_eq!(sold_out["sell_out"]["sold_out_at"], json!(last));

    let (customer, order) = &orders[0];
    let path = format!("/v1/sales/{sale}/orders/{order}");
    let request = client.request(Method::DELETE, &path).bearer_auth(format!("dev:{customer}"));
    assert_eq!(client.send(request).await.status, 202);
    let after = eventually("the cancelled order is counted", async || {
        let body = report().await.body;
        (body["funnel"]["cancelled"] == 1).then_some(body)
    })
    .await;
    assert_eq!(after["sell_out"], sold_out["sell_out"], "a sell-out stays recorded");
    assert_eq!(after["revenue"], json!({ "captured": 0, "returned": 0, "net": 0 }));
    assert!(after["orders_per_second"]["peak"].as_i64().unwrap() >= 1, "{after}");
    let unknown = client.admin(Method::GET, "/admin/v1/sales/nothing/report", None).await;
    assert_eq!(unknown.code(), "unknown_sale");
    group.stop().await;
}

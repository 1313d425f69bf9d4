//! Orders that are cancelled by their customers or expire, and whose units return to Redis once.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::time::Duration;

use contract::ids::{Epoch, SaleId};
use contract::keys::SaleKeys;
use contract::order::Order;
use contract::timestamp::Timestamp;
use lua::Redis;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use support::{Bench, acceptance, cancel, keyed_order, now, order, start_settler, tick};
use testkit::until;

async fn status(bench: &Bench, order: &Order) -> (String, Option<String>) {
    let select = "SELECT status, cancel_reason FROM customer_order WHERE order_id = $1";
    let row = bench.db.query_one(select, &[&order.id.0]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Returns the units that are available or returning in Redis.
async fn units_in_redis(bench: &Bench, sale: &SaleId, epoch: Epoch, sku: &str) -> i64 {
    let redis = Redis::connect_once(&bench.system.redis_url, Duration::from_secs(10)).await.unwrap();
    let keys = SaleKeys::new(sale, epoch);
    let available: i64 =
        redis.command("HGET", vec![keys.stock.into(), sku.to_string().into()]).await.unwrap();
    let returning: Vec<String> =
        redis.command("LRANGE", vec![keys.returning.into(), "0".into(), "-1".into()]).await.unwrap();
    let returning: i64 = returning
        .iter()
        .filter(|entry| entry.ends_with(&format!(" {sku}")))
        .map(|entry| entry.split(' ').nth(1).unwrap().parse::<i64>().unwrap())
        .sum();
    available + returning
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_releases_its_units_once_however_often_it_is_cancelled() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, Some(1), &[("A", Some(10)), ("B", None)]).await;
    let orders: Vec<_> = (0..3).map(|n| order(&sale, &format!("c{n}"), &[("A", 2), ("B", 1)])).collect();
    let accepted = acceptance(&sale, epoch, 1, &orders);
    // These are in one batch: a command sees the records before it. Another follows later.
    for record in [&accepted, &cancel(&sale, &orders[1]), &cancel(&sale, &orders[1])] {
        bench.write(0, &sale, record).await;
    }
    bench.until_orders(&sale, 3).await;
    let last = bench.write(0, &sale, &cancel(&sale, &orders[1])).await;
    bench.until_settled(0, last).await;

    assert_eq!(status(&bench, &orders[1]).await, ("cancelled".into(), Some("customer".into())));
    assert_eq!(status(&bench, &orders[0]).await, ("created".into(), None));
    assert_eq!(bench.units(&sale, "A").await, (4, 0));
    // These orders were not reserved in Redis, so the release exceeds the original stock.
    until("the units are released", async || units_in_redis(&bench, &sale, epoch, "A").await == 12).await;
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_do_not_name_an_order_of_their_customer_change_nothing() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let (other, _) = bench.open(0, None, &[("A", Some(10))]).await;
    let mine = order(&sale, "me", &[("A", 1)]);
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, std::slice::from_ref(&mine))).await;
    let unknown = order(&sale, "me", &[("A", 1)]);
    let of_another_customer = Order { customer: order(&sale, "you", &[]).customer, ..mine.clone() };
    bench.write(0, &sale, &cancel(&sale, &unknown)).await;
    bench.write(0, &sale, &cancel(&sale, &of_another_customer)).await;
    let last = bench.write(0, &other, &cancel(&other, &mine)).await;
    bench.until_settled(0, last).await;
    assert_eq!(status(&bench, &mine).await, ("created".into(), None));
    assert_eq!(bench.number("SELECT count(*) FROM dead_letter WHERE sale_id = $1", &sale).await, 0);
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_expires_holds_that_were_due_a_second_before_it_in_the_order_of_the_log() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(1, None, &[("A", Some(100))]).await;
    let held =
        |customer: &str, seconds: u32| Order { hold_seconds: seconds, ..order(&sale, customer, &[("A", 1)]) };
    let orders = [held("long", 7200), held("due", 3600), held("cancelled", 3600), held("almost", 3601)];
    let accepted_at = now();
    bench.write(1, &sale, &acceptance(&sale, epoch, 1, &orders)).await;
    // The customer's command precedes the tick, so it has priority.
    bench.write(1, &sale, &cancel(&sale, &orders[2])).await;
    let due = Timestamp(accepted_at.0 + 3_600_000 + 2000);
    bench.write_raw(1, "", &tick(due).value, &tick(due).headers.encode()).await;
    let late = bench.write(1, &sale, &cancel(&sale, &orders[1])).await;
    bench.until_settled(1, late).await;
    assert_eq!(status(&bench, &orders[0]).await, ("created".into(), None));
    assert_eq!(status(&bench, &orders[1]).await, ("cancelled".into(), Some("expired".into())));
    assert_eq!(status(&bench, &orders[2]).await, ("cancelled".into(), Some("customer".into())));
    assert_eq!(status(&bench, &orders[3]).await, ("created".into(), None));
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unpaid_holds_expire_and_each_unit_is_released_once_even_if_the_owner_changes() {
    let bench = Bench::start(0).await;
    let args = ["--batch-wait-ms", "5"];
    let mut settler = bench.process(&args).await;
    let (sale, epoch) = bench.open(2, Some(1), &[("A", Some(500))]).await;
    let orders: Vec<_> = (0..400u64)
        .map(|n| Order { hold_seconds: 1 + (n % 3) as u32, ..order(&sale, &format!("c{n}"), &[("A", 1)]) })
        .collect();
    for (chunk, first) in orders.chunks(20).zip((1..).step_by(20)) {
        bench.write(2, &sale, &acceptance(&sale, epoch, first, chunk)).await;
        for order in chunk.iter().step_by(7) {
            bench.write(2, &sale, &cancel(&sale, order)).await;
        }
    }
    // The settler is killed repeatedly while holds expire.
    for cancelled in [1, 100, 250] {
        let select = "SELECT count(*) FROM customer_order WHERE sale_id = $1 AND status = 'cancelled'";
        until("some orders are cancelled", async || bench.number(select, &sale).await >= cancelled).await;
        settler.kill();
        settler = start_settler(&bench.system, &args);
    }
    let select = "SELECT count(*) FROM customer_order WHERE sale_id = $1 AND status = 'cancelled'";
    until("all orders are cancelled", async || bench.number(select, &sale).await == 400).await;
    until("every unit is released", async || units_in_redis(&bench, &sale, epoch, "A").await == 900).await;
    bench.check(&sale).await;
    settler.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topics_receive_the_events_of_a_cancelled_order_and_its_units() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(3, None, &[("A", Some(10))]).await;
    let mine = keyed_order(&sale, "me", "k", &[("A", 3)]);
    bench.write(3, &sale, &acceptance(&sale, epoch, 1, std::slice::from_ref(&mine))).await;
    bench.write(3, &sale, &cancel(&sale, &mine)).await;
    let consumer: BaseConsumer = process::kafka::client(&testkit::environment("KAFKA_BROKERS"), "test")
        .set("group.id", testkit::fresh("g"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let topics = ["order-events", "inventory-events"].map(|topic| bench.topic(topic));
    consumer.subscribe(&[&topics[0], &topics[1]]).unwrap();
    let (mut statuses, mut movements) = (Vec::new(), Vec::new());
    let until = std::time::Instant::now() + testkit::wait::PATIENCE;
    while statuses.len() < 2 || movements.len() < 2 {
        assert!(std::time::Instant::now() < until, "{statuses:?} {movements:?}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let data: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        use rdkafka::message::Headers as _;
        let kind = message.headers().unwrap().iter().find(|header| header.key == "ce_type").unwrap();
        let kind = String::from_utf8(kind.value.unwrap().to_vec()).unwrap();
        if message.topic() == topics[0] {
            statuses.push((kind, data["status"].as_str().unwrap().to_string()));
        } else {
            movements.push((kind, data["quantity"].as_u64().unwrap()));
        }
    }
    let pair = |kind: &str, status: &str| (kind.to_string(), status.to_string());
    assert_eq!(statuses, [pair("order.created", "created"), pair("order.cancelled", "cancelled")]);
    assert_eq!(movements, [("STOCK_RESERVED".to_string(), 3), ("STOCK_RELEASED".to_string(), 3)]);
}

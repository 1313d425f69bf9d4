//! Redis loses its state during a sale: the sale closes, is rebuilt automatically, and continues where it was.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::Value;
use testkit::client::{order_body, terms};
use testkit::control::timed;
use testkit::system::Shape;
use testkit::{Answer, Client, RedisServer, System, fresh};

const UNITS: u64 = 120;
const CUSTOMERS: usize = 200;
/// The number of concurrent customers, so that the fault hits orders at every step.
const CONCURRENCY: usize = 16;
/// The number of acceptances before the fault.
const BEFORE: usize = 40;

async fn command(redis: &RedisServer, name: &'static str, args: &[&'static str]) {
    let args = args.iter().map(|arg| Bytes::from_static(arg.as_bytes())).collect();
    let _: String = redis.client().await.command(name, args).await.expect("Redis is up");
}

async fn rebuild_of(client: &Client, sale: &str) -> Value {
    let all = client.admin(Method::GET, "/admin/v1/sales", None).await.body;
    let sales = all["sales"].as_array().expect("sales");
    sales.iter().find(|shown| shown["sale_id"] == sale).expect("the sale")["rebuild"].clone()
}

/// Retries until the response is not a 503. Returns it with the codes of the 503 responses.
async fn order_until_available(client: &Client, sale: &str, customer: &str) -> (Answer, Vec<String>) {
    let (started, mut codes) = (Instant::now(), vec![]);
    loop {
        let answer = client.order(sale, customer, "k", &order_body(&[("A", 1)])).await;
        if answer.status != 503 {
            return (answer, codes);
        }
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        codes.push(answer.code().to_string());
        assert!(started.elapsed() < testkit::wait::PATIENCE, "the sale does not reopen: {:?}", answer.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Injects a fault into Redis during a sale, checks that every unit is sold exactly once, and returns the reasons of
/// the rebuilds.
async fn sells_every_unit_once_despite(fault: impl AsyncFnOnce(&mut RedisServer)) -> HashSet<String> {
    let mut redis = RedisServer::start().await;
    let shape = Shape { gateways: 2, settlements: 2, redis_url: Some(redis.url()), ..Shape::default() };
    let system = System::start(shape).await;
    let clients = [system.gateway_client(0), system.gateway_client(1)];
    let sale = fresh("lost");
    clients[0].open_sale(&sale, terms(&[("A", 1000, Some(UNITS))])).await;
    clients[1].until_sale(&sale, "open", true).await;
    assert_eq!(rebuild_of(&clients[0], &sale).await, Value::Null, "no rebuild is in progress");

    let accepted: Arc<Mutex<Vec<(String, Answer)>>> = Arc::default();
    let refused: Arc<Mutex<HashSet<String>>> = Arc::default();
    let customers = (0..CONCURRENCY).map(|n| {
        let (client, sale) = (clients[n % 2].clone(), sale.clone());
        let (accepted, refused) = (accepted.clone(), refused.clone());
        tokio::spawn(async move {
            for customer in (n..CUSTOMERS).step_by(CONCURRENCY).map(|n| format!("c{n}")) {
                let (answer, codes) = order_until_available(&client, &sale, &customer).await;
                refused.lock().extend(codes);
                match answer.status.as_u16() {
                    202 => accepted.lock().push((customer, answer)),
                    _ => assert_eq!(answer.code(), "sold_out", "{:?}", answer.body),
                }
            }
        })
    });
    let customers: Vec<_> = customers.collect();
    testkit::until("the sale accepts orders", async || accepted.lock().len() >= BEFORE).await;
    fault(&mut redis).await;

    let mut reasons = HashSet::new();
    let mut steps = HashSet::new();
    testkit::until("the sale is rebuilt", async || {
        let shown = rebuild_of(&clients[0], &sale).await;
        if shown.is_null() {
            return !steps.is_empty();
        }
        assert!(shown["since"].is_string() && shown["epoch"].as_u64() >= Some(2), "{shown}");
        reasons.insert(shown["reason"].as_str().expect("a reason").to_string());
        steps.insert(shown["step"].as_str().expect("a step").to_string());
        false
    })
    .await;
    assert!(steps.contains("leases"), "{steps:?}");
    for customer in customers {
        customer.await.expect("no panic");
    }
    let refused = refused.lock().clone();
    assert!(refused.contains("sale_rebuilding"), "the sale closes automatically: {refused:?}");

    let accepted = accepted.lock().clone();
    assert_eq!(accepted.len() as u64, UNITS, "every unit is sold, none twice");
    for ((customer, first), client) in accepted.iter().zip(clients.iter().cycle()) {
        let (again, _) = order_until_available(client, &sale, customer).await;
        assert_eq!((again.replayed() || first.replayed(), &again.body), (true, &first.body));
    }
    let database = system.database().await;
    testkit::until("everything is settled", async || {
        let held = "SELECT held FROM sale_item WHERE sale_id = $1";
        database.query_one(held, &[&sale]).await.expect("Postgres").get::<_, i64>(0) as u64 == UNITS
    })
    .await;
    let ids = "SELECT order_id::text FROM customer_order WHERE sale_id = $1";
    let rows = database.query(ids, &[&sale]).await.expect("Postgres");
    let settled: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(settled, accepted.iter().map(|(_, first)| first.order_id()).collect());
    assert_eq!(rebuild_of(&clients[0], &sale).await, Value::Null, "no further rebuild is in progress");
    reasons
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushall_during_a_sale_closes_it_until_it_is_rebuilt_automatically() {
    let reasons = sells_every_unit_once_despite(async |redis| command(redis, "FLUSHALL", &[]).await).await;
    assert!(
        ["gateway_lost", "lost", "state_missing"].iter().any(|proof| reasons.contains(*proof)),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_data_during_a_sale_closes_it_until_it_is_rebuilt_automatically() {
    let restart = async |redis: &mut RedisServer| {
        redis.kill();
        redis.run().await;
    };
    let reasons = sells_every_unit_once_despite(restart).await;
    assert!(
        ["gateway_lost", "no_script", "state_missing"].iter().any(|proof| reasons.contains(*proof)),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_flush_during_a_sale_closes_it_until_it_is_rebuilt_automatically() {
    let reasons =
        sells_every_unit_once_despite(async |redis| command(redis, "SCRIPT", &["FLUSH"]).await).await;
    assert!(["gateway_lost", "no_script"].iter().any(|proof| reasons.contains(*proof)), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_down_nothing_is_sold_and_readiness_follows_redis() {
    let mut redis = RedisServer::start().await;
    let system = System::start(Shape { redis_url: Some(redis.url()), ..Shape::default() }).await;
    let client = system.client();
    let sale = fresh("down");
    client.open_sale(&sale, terms(&[("A", 1000, Some(3))])).await;
    let ready = format!("{}/health/ready", system.gateways[0].1);
    let readiness = async || reqwest::get(&ready).await.expect("an answer");

    redis.kill();
    testkit::until("readiness reports Redis", async || {
        let answer = readiness().await;
        let is_unready = answer.status() == 503;
        let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        is_unready
            && body["dependencies"]["redis"]["up"] == false
            && body["dependencies"]["redis"]["why"].is_string()
    })
    .await;
    let refused = client.order(&sale, "c", "k", &order_body(&[("A", 1)])).await;
    assert_eq!(refused.status, 503, "{:?}", refused.body);
    assert!(["stock_unavailable", "outcome_unknown"].contains(&refused.code()), "{:?}", refused.body);
    let database = system.database().await;
    let epoch = async || -> i64 {
        let row = database.query_one("SELECT epoch FROM sale WHERE sale_id = $1", &[&sale]).await;
        row.expect("Postgres").get(0)
    };
    assert_eq!(epoch().await, 1, "no epoch is claimed while Redis is down");

    redis.run().await;
    testkit::until("the gateway is ready again", async || readiness().await.status() == 200).await;
    let (first, codes) = order_until_available(&client, &sale, "c").await;
    assert_eq!((first.status.as_u16(), &first.body["sequence"]), (202, &1.into()), "{:?}", first.body);
    assert!(codes.iter().any(|code| code == "sale_rebuilding"), "{codes:?}");
    assert_eq!(epoch().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_hangs_orders_are_refused_at_once_and_reads_come_from_postgres() {
    let redis = RedisServer::start().await;
    let system = System::start(Shape { redis_url: Some(redis.url()), ..Shape::default() }).await;
    let client = system.client();
    let sale = fresh("hangs");
    client.open_sale(&sale, terms(&[("A", 1000, Some(1000))])).await;
    let first = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await;
    let settled = client.until_settled(&sale, "c", &first.order_id()).await;

    redis.pause();
    let refused_by = async |customer: &str| {
        let body = order_body(&[("A", 1)]);
        let (answer, timing) = timed(&client, client.order(&sale, customer, "k", &body)).await;
        assert_eq!(answer.status, 503, "{:?}", answer.body);
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        (answer.code().to_string(), timing)
    };
    let (code, timing) = refused_by("waits").await;
    assert_eq!(code, "outcome_unknown", "Redis may still execute the call");
    assert!(timing.took > Duration::from_millis(900), "{timing:?}");
    // Further requests, for longer than the timeout of a call: none of them waits.
    let started = Instant::now();
    let mut refused = 0;
    while started.elapsed() < Duration::from_millis(1500) {
        let (code, timing) = refused_by(&format!("c{refused}")).await;
        assert_eq!(code, "stock_unavailable");
        timing.assert_within(Duration::from_millis(500), "refused at once");
        refused += 1;
    }
    // What no sale accepts is refused from memory; what only the present terms refuse might be an order that exists.
    let mut body = order_body(&[("A", 0)]);
    let (refused, timing) = timed(&client, client.order(&sale, "strange", "k", &body)).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "invalid_order"), "{refused:?}");
    timing.assert_within(Duration::from_millis(500), "refused at once");
    body = order_body(&[("Z", 1)]);
    let unsure = client.order(&sale, "strange", "k", &body).await;
    assert_eq!(unsure.status, 503, "{unsure:?}");
    let shown = client.get("c", &format!("/v1/sales/{sale}")).await;
    assert_eq!(
        (shown.status.as_u16(), &shown.body["items"][0]["remaining"]),
        (200, &999.into()),
        "{shown:?}"
    );
    let order = client.get("c", &format!("/v1/sales/{sale}/orders/{}", first.order_id())).await;
    assert_eq!((order.status.as_u16(), &order.body), (200, &settled));
    testkit::until("readiness reports Redis", async || {
        let answer = reqwest::get(format!("{}/health/ready", system.gateways[0].1)).await.expect("an answer");
        let is_unready = answer.status() == 503;
        is_unready && answer.text().await.expect("a body").contains(r#""redis":{"up":false"#)
    })
    .await;

    redis.resume();
    let (answer, _) = order_until_available(&client, &sale, "after").await;
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    assert_eq!(rebuild_of(&client, &sale).await, Value::Null, "nothing was lost");
    let database = system.database().await;
    let row = database.query_one("SELECT epoch FROM sale WHERE sale_id = $1", &[&sale]).await;
    assert_eq!(row.expect("Postgres").get::<_, i64>(0), 1);
}

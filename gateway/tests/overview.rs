//! The operator's overview: correct at rest, shared by concurrent requests, and available while a dependency is
//! down.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use contract::record::Headers;
use process::kafka::{Message, Producer, ProducerSettings};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::control::timed;
use testkit::system::Shape;
use testkit::{Client, Forwarder, RedisServer, System, environment, fresh, shared};

/// The limit of a response time, which holds even while a dependency hangs: longer than collecting an overview
/// may take.
const ANSWERED_WITHIN: Duration = Duration::from_millis(1500);

async fn overview(client: &Client) -> Value {
    let (answer, timing) = timed(client, client.admin(Method::GET, "/admin/v1/overview", None)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    timing.assert_within(ANSWERED_WITHIN, "the overview is returned");
    answer.body
}

fn sale_in<'a>(overview: &'a Value, sale: &str) -> &'a Value {
    let sales = overview["sales"].as_array().expect("sales");
    sales.iter().find(|shown| shown["sale_id"] == sale).unwrap_or(&Value::Null)
}

/// Waits for an overview in which a sale fulfils a condition.
async fn until_sale(client: &Client, sale: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    testkit::eventually(what, async || {
        let now = overview(client).await;
        is(sale_in(&now, sale)).then_some(now)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_rest_the_overview_shows_what_was_sold_refused_and_settled() {
    let client = shared().client();
    let sale = fresh("overview");
    let draft = fresh("draft");
    let unlimited = terms(&[("A", 1000, Some(3)), ("B", 500, None)]);
    let put = client.admin(Method::PUT, &format!("/admin/v1/sales/{draft}"), Some(&unlimited)).await;
    assert_eq!(put.status, 201);
    client.open_sale(&sale, unlimited).await;
    let before = overview(&client).await["gateway"].clone();
    let pay = json!({"items": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}], "payment": {"method": "wallet"}});
    let credit = json!({"amount": 5000, "currency": "KRW"});
    assert!(client.credit(&sale, "gift", &credit).await.status.is_success());
    assert_eq!(client.order_until_answered(&sale, &sale, "k", &pay).await.status, 202);
    for customer in ["b", "c"] {
        assert_eq!(
            client.order_until_answered(&sale, customer, "k", &order_body(&[("A", 1)])).await.status,
            202
        );
    }
    assert!(client.order_until_answered(&sale, "b", "k", &order_body(&[("A", 1)])).await.replayed());
    assert_eq!(
        client.order_until_answered(&sale, "d", "k", &order_body(&[("A", 1)])).await.code(),
        "sold_out"
    );

    let now = until_sale(&client, &sale, "the sold units are shown", |shown| {
        shown["orders_settled"] == 3
            && shown["outbox_entries"] == 0
            && shown["lag_records"] == 0
            && shown["items"][0]["drift"] == 0
            && shown["items"][0]["sold"] == 1
    })
    .await;
    let shown = sale_in(&now, &sale);
    assert_eq!(
        shown["items"],
        json!([
            {"sku": "A", "name": "A", "total": 3, "available": 0, "redis_available": 0, "held": 2, "sold": 1,
             "dead_lettered": 0, "drift": 0},
            {"sku": "B", "name": "B", "total": null, "available": null, "redis_available": null, "held": 0,
             "sold": 2, "dead_lettered": 0, "drift": null},
        ])
    );
    assert_eq!(
        (&shown["state"], &shown["ready"], &shown["epoch"]),
        (&json!("open"), &json!(true), &json!(1))
    );
    assert_eq!(
        (&sale_in(&now, &draft)["state"], &sale_in(&now, &draft)["outbox_entries"]),
        (&json!("draft"), &Value::Null)
    );
    assert_eq!(now["why"], json!({}));
    testkit::until("all dependencies are up", async || {
        let now = overview(&client).await;
        let all = now["dependencies"].as_array().expect("dependencies").clone();
        let up = |name| all.iter().any(|is| is["name"] == name && is["up"] == true && is["why"].is_null());
        ["redis", "kafka", "postgres", "lease", "settlement"].into_iter().all(up)
    })
    .await;
    let partition = shown["partition"].as_i64();
    let log =
        now["log"].as_array().expect("the log").iter().find(|log| log["partition"].as_i64() == partition);
    assert_eq!(log, Some(&json!({"partition": partition, "lag_records": 0, "lag_seconds": 0.0})));

    // Other tests of this process use the same gateway, so its counters grow.
    let grown = |name: &str| {
        now["gateway"][name].as_u64().expect("a count") - before[name].as_u64().expect("a count")
    };
    assert!(
        grown("accepted_total") >= 3 && grown("replayed_total") >= 1 && grown("refused_total") >= 1,
        "{now}"
    );
    assert!(now["gateway"]["refusals"]["sold_out"].as_u64() >= Some(1), "{now}");
    let started = now["gateway"]["started_at"].as_str().expect("a time");
    assert!(started < now["time"].as_str().expect("a time"), "{now}");

    let admin = &shared().gateways[0].1;
    let stranger = reqwest::get(format!("{admin}/admin/v1/overview")).await.expect("an answer");
    assert_eq!(stranger.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_share_one_overview() {
    let client = shared().client();
    let requests = (0..60).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { overview(&client).await["time"].as_str().expect("a time").to_string() })
    });
    let started = Instant::now();
    let mut times = HashSet::new();
    for answer in requests.collect::<Vec<_>>() {
        times.insert(answer.await.expect("an answer"));
    }
    // The cached overview, and one for each half second that this took.
    let limit = 2 + started.elapsed().as_millis() as usize / 500;
    assert!(times.len() <= limit, "{} overviews", times.len());
    testkit::until("a later request gets a new overview", async || {
        !times.contains(overview(&client).await["time"].as_str().expect("a time"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_dead_letter_are_not_counted_as_settled() {
    let client = shared().gateway_client(1);
    let sale = fresh("aside");
    client.open_sale(&sale, terms(&[("A", 1000, Some(9))])).await;
    assert_eq!(client.order_until_answered(&sale, "a", "k", &order_body(&[("A", 1)])).await.status, 202);
    let before =
        until_sale(&client, &sale, "the order is settled", |shown| shown["orders_settled"] == 1).await;
    let partition = sale_in(&before, &sale)["partition"].as_i64().expect("a partition") as i32;
    let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
    let producer = Producer::start(&environment("KAFKA_BROKERS"), "test", &settings).expect("a producer");
    let units = [(contract::ids::Sku::parse("A").expect("a name"), 2)].into();
    let headers = Headers::accepted(contract::ids::Epoch(1), contract::ids::Sequence(2), 2, units).encode();
    let message = Message {
        topic: &format!("{}orders", shared().topic_prefix),
        partition: Some(partition),
        key: &sale,
        value: Some(b"poison"),
        headers: &headers,
    };
    producer.send(&message).expect("queue capacity").await.expect("acknowledged");
    let now = until_sale(&client, &sale, "the record is a dead letter", |shown| {
        shown["items"][0]["dead_lettered"] == 2 && shown["lag_records"] == 0
    })
    .await;
    assert_eq!(sale_in(&now, &sale)["orders_settled"], 1, "{now}");
    assert!(now["dead_letters"].as_u64() > Some(0), "{now}");
    assert_eq!(now["guard_trips"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_values_of_a_dependency_that_is_down_are_null_with_a_reason() {
    let mut redis = RedisServer::start().await;
    let none = Shape { gateways: 0, settlements: 0, redis_url: Some(redis.url()), ..Shape::default() };
    let mut system = System::start(none).await;
    let direct = system.database_url.clone();
    system.add_settlement(&[]);
    let (postgres, through) = Forwarder::start_for_url(&direct).await;
    system.database_url = through;
    system.add_gateway(&[]);
    system.database_url = direct;
    let client = system.client();
    testkit::until("gateway and settlement are up", async || {
        let put = format!("/admin/v1/sales/{}", fresh("probe"));
        let request = client.admin_request(Method::PUT, &put).json(&terms(&[("A", 1, Some(1))]));
        request.send().await.is_ok_and(|answer| answer.status() == 201)
    })
    .await;
    let sale = fresh("away");
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    let order = async |customer: &str| {
        client.order_until_answered(&sale, customer, "k", &order_body(&[("A", 1)])).await.status
    };
    assert_eq!(order("a").await, 202);
    let is_complete = |shown: &Value| {
        let item = &shown["items"][0];
        item["held"].is_u64()
            && item["drift"] == 0
            && shown["lag_records"] == 0
            && shown["outbox_entries"] == 0
    };
    until_sale(&client, &sale, "every value is shown", is_complete).await;

    for (hangs, customer) in [(false, "b"), (true, "c")] {
        if hangs {
            postgres.hang()
        } else {
            postgres.cut()
        }
        assert_eq!(order(customer).await, 202, "Postgres is not needed to sell");
        let now = until_sale(
            &client,
            &sale,
            "Postgres is down for the gateway, and settlement has settled the log",
            |shown| shown["items"][0]["held"].is_null() && shown["lag_records"] == 0,
        )
        .await;
        let (shown, item) = (sale_in(&now, &sale), &sale_in(&now, &sale)["items"][0]);
        assert!(now["why"]["postgres"].is_string() && now["why"]["redis"].is_null(), "{now}");
        assert_eq!((&item["total"], &item["sold"], &item["drift"]), (&json!(5), &Value::Null, &Value::Null));
        assert_eq!((&item["available"], &shown["outbox_entries"]), (&item["redis_available"], &json!(0)));
        assert!(item["available"].is_u64() && shown["orders_settled"].is_null(), "{now}");
        assert_eq!(
            (&shown["state"], &shown["title"], &now["dead_letters"]),
            (&json!("open"), &json!("A test"), &Value::Null)
        );
        postgres.mend();
        until_sale(&client, &sale, "every value is shown again", is_complete).await;
    }

    redis.pause();
    let now = until_sale(&client, &sale, "Redis hangs", |shown| shown["items"][0]["drift"].is_null()).await;
    let item = &sale_in(&now, &sale)["items"][0];
    assert_eq!(
        (&item["held"], &item["available"], &item["redis_available"]),
        (&json!(3), &json!(2), &Value::Null)
    );
    redis.resume();
    until_sale(&client, &sale, "Redis has resumed", is_complete).await;
    redis.kill();
    let now = testkit::eventually("Redis is down", async || {
        Some(overview(&client).await).filter(|now| now["why"]["redis"].is_string())
    })
    .await;
    let shown = sale_in(&now, &sale);
    assert_eq!((&shown["outbox_entries"], &shown["orders_settled"]), (&Value::Null, &json!(3)));
    testkit::until("readiness and overview agree", async || {
        let now = overview(&client).await;
        let all = now["dependencies"].as_array().expect("dependencies").clone();
        all.iter().any(|is| is["name"] == "redis" && is["up"] == false && is["why"].is_string())
    })
    .await;
    redis.run().await;
    until_sale(&client, &sale, "the sale was rebuilt", |shown| is_complete(shown) && shown["epoch"] == 2)
        .await;
}

//! What goes on while Postgres is away or settlement stands still, and how it ends by itself.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::client::{order_body, terms};
use testkit::system::Shape;
use testkit::{Client, Forwarder, System, fresh};

async fn readiness(system: &System) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/health/ready", system.gateways[0].1)).await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON"))
}

/// The value of a metric of the first gateway.
async fn metric(system: &System, name: &str) -> f64 {
    let page = reqwest::get(format!("{}/metrics", system.gateways[0].1)).await.expect("an answer");
    let page = page.text().await.expect("a page");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

/// A whole system whose processes reach Postgres through a forwarder only.
async fn system_through_forwarder() -> (System, Forwarder) {
    let none = Shape { gateways: 0, settlements: 0, ..Shape::default() };
    let mut system = System::start(none).await;
    let direct = system.database_url.clone();
    let (forwarder, through) = Forwarder::start_for_url(&direct).await;
    system.database_url = through;
    system.add_settlement(&[]);
    system.add_gateway(&[]);
    system.database_url = direct;
    until_started(&system).await;
    (system, forwarder)
}

async fn until_started(system: &System) {
    testkit::until("the gateway is ready", async || {
        // Nobody listens at first.
        let answer = reqwest::get(format!("{}/health/ready", system.gateways[0].1)).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}

async fn opened(client: &Client, units: u64) -> String {
    let sale = fresh("degraded");
    // The first sale of a system finds the log's partitions only once settlement has made them.
    testkit::until("settlement is there", async || {
        let put = format!("/admin/v1/sales/{}", fresh("probe"));
        client.admin(reqwest::Method::PUT, &put, Some(&terms(&[("A", 1, Some(1))]))).await.status == 201
    })
    .await;
    client.open_sale(&sale, terms(&[("A", 1000, Some(units))])).await;
    sale
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_or_hangs_it_sells_and_fresh_orders_are_processing() {
    let (system, postgres) = system_through_forwarder().await;
    let client = system.client();
    let sale = opened(&client, 100).await;
    let mut told = vec![];
    for hangs in [false, true] {
        if hangs {
            postgres.hang()
        } else {
            postgres.cut()
        }
        testkit::until("readiness names it, and stays", async || {
            let (status, body) = readiness(&system).await;
            status == 200 && body["dependencies"]["postgres"]["up"] == false
        })
        .await;
        for n in 0..10 {
            let customer = format!("c{hangs}{n}");
            let answer = client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await;
            assert_eq!(answer.status, 202, "{:?}", answer.body);
            let begun = Instant::now();
            let shown =
                client.get(&customer, &format!("/v1/sales/{sale}/orders/{}", answer.order_id())).await;
            assert_eq!((shown.status.as_u16(), &shown.body["status"]), (200, &"processing".into()));
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            told.push((customer, answer));
        }
        let shown = client.get("anyone", &format!("/v1/sales/{sale}")).await;
        assert_eq!(shown.status, 200, "{shown:?}");
        let operator = client.admin(reqwest::Method::GET, "/admin/v1/sales", None);
        let refused = tokio::time::timeout(testkit::wait::PATIENCE, operator).await.expect("an answer");
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "database_unavailable"));
        postgres.mend();
        for (customer, answer) in &told {
            let settled = client.until_settled(&sale, customer, &answer.order_id()).await;
            assert_eq!(settled["sequence"], answer.body["sequence"]);
        }
    }
    testkit::until("it is there again", async || {
        readiness(&system).await.1["dependencies"]["postgres"]["up"] == true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_refused_early_while_settlement_stands_still_or_is_dead() {
    let mut system = System::start(Shape { gateways: 0, settlements: 0, ..Shape::default() }).await;
    let settler = system.add_settlement(&[]);
    system.add_gateway(&["--admission-lag-max".into(), "1".into()]);
    until_started(&system).await;
    let client = system.client();
    let sale = opened(&client, 100).await;
    let shed = r#"gateway_shed_total{reason="settlement_behind"}"#;
    let order = async |customer: &str| client.order(&sale, customer, "k", &order_body(&[("A", 1)])).await;
    let refused = async |why: &str, first: &str| {
        let before = metric(&system, shed).await;
        testkit::until(why, async || {
            let answer = order(first).await;
            answer.status == 503
                && answer.code() == "overloaded"
                && answer.headers.contains_key("retry-after")
        })
        .await;
        assert!(metric(&system, shed).await > before, "counted");
        testkit::until("readiness says so, and stays", async || {
            let (status, body) = readiness(&system).await;
            let settlement = &body["dependencies"]["settlement"];
            status == 200 && settlement["up"] == false && settlement["why"].is_string()
        })
        .await;
    };
    let sells = async |customer: &str| {
        testkit::until("it sells", async || order(customer).await.status == 202).await;
    };
    sells("a").await;
    testkit::until("settlement is there", async || {
        readiness(&system).await.1["dependencies"]["settlement"]["up"] == true
    })
    .await;

    // Alive, but it cannot go on: what was appended waits.
    let mut database = system.database().await;
    let lock = database.transaction().await.expect("a transaction");
    lock.execute("SELECT FROM log_position FOR UPDATE", &[]).await.expect("locked");
    sells("b").await;
    refused("behind by what waits", "b2").await;
    lock.rollback().await.expect("unlocked");
    sells("c").await;

    // Dead: it tells nothing new, although nothing waits.
    settler.cancel();
    refused("nobody has told anything for a while", "d").await;
    system.add_settlement(&[]);
    let begun = Instant::now();
    loop {
        let answer = client.order(&sale, "e", "k", &order_body(&[("A", 1)])).await;
        if answer.status == 202 {
            break;
        }
        assert!(begun.elapsed() < testkit::wait::PATIENCE, "it does not recover: {:?}", answer.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! Degraded operation while Postgres is down or settlement is stalled, and the recovery without intervention.

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::client::{order_body, terms};
use testkit::control::timed;
use testkit::system::Shape;
use testkit::{Client, Forwarder, System, fresh};

async fn readiness(system: &System) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/health/ready", system.gateways[0].1)).await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON"))
}

/// Returns the value of a metric of the first gateway.
async fn metric(system: &System, name: &str) -> f64 {
    let page = reqwest::get(format!("{}/metrics", system.gateways[0].1)).await.expect("an answer");
    let page = page.text().await.expect("a page");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

/// Starts a system whose processes reach Postgres only through a forwarder.
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
        // The listener is not open at first.
        let answer = reqwest::get(format!("{}/health/ready", system.gateways[0].1)).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}

async fn open_sale(client: &Client, units: u64) -> String {
    let sale = fresh("degraded");
    // The first sale of a system finds the log's partitions only after settlement has created them.
    testkit::until("settlement is up", async || {
        let put = format!("/admin/v1/sales/{}", fresh("probe"));
        client.admin(reqwest::Method::PUT, &put, Some(&terms(&[("A", 1, Some(1))]))).await.status == 201
    })
    .await;
    client.open_sale(&sale, terms(&[("A", 1000, Some(units))])).await;
    sale
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_down_or_hangs_sales_continue_and_new_orders_are_processing() {
    let (system, postgres) = system_through_forwarder().await;
    let client = system.client();
    let sale = open_sale(&client, 100).await;
    let mut accepted = vec![];
    for hangs in [false, true] {
        if hangs {
            postgres.hang()
        } else {
            postgres.cut()
        }
        testkit::until("readiness reports Postgres and stays unready", async || {
            let (status, body) = readiness(&system).await;
            status == 200 && body["dependencies"]["postgres"]["up"] == false
        })
        .await;
        for n in 0..10 {
            let customer = format!("c{hangs}{n}");
            let answer = client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await;
            assert_eq!(answer.status, 202, "{:?}", answer.body);
            let path = format!("/v1/sales/{sale}/orders/{}", answer.order_id());
            let (shown, timing) = timed(&client, client.get(&customer, &path)).await;
            assert_eq!((shown.status.as_u16(), &shown.body["status"]), (200, &"processing".into()));
            timing.assert_within(Duration::from_secs(2), "an order is read without Postgres");
            accepted.push((customer, answer));
        }
        let shown = client.get("anyone", &format!("/v1/sales/{sale}")).await;
        assert_eq!(shown.status, 200, "{shown:?}");
        let operator = client.admin(reqwest::Method::GET, "/admin/v1/sales", None);
        let refused = tokio::time::timeout(testkit::wait::PATIENCE, operator).await.expect("an answer");
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "database_unavailable"));
        postgres.mend();
        for (customer, answer) in &accepted {
            let settled = client.until_settled(&sale, customer, &answer.order_id()).await;
            assert_eq!(settled["sequence"], answer.body["sequence"]);
        }
    }
    testkit::until("Postgres is up again", async || {
        readiness(&system).await.1["dependencies"]["postgres"]["up"] == true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_refused_early_while_settlement_is_stalled_or_dead() {
    let mut system = System::start(Shape { gateways: 0, settlements: 0, ..Shape::default() }).await;
    let settler = system.add_settlement(&[]);
    system.add_gateway(&["--admission-lag-max".into(), "1".into()]);
    until_started(&system).await;
    let client = system.client();
    let sale = open_sale(&client, 100).await;
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
        testkit::until("readiness reports it and stays unready", async || {
            let (status, body) = readiness(&system).await;
            let settlement = &body["dependencies"]["settlement"];
            status == 200 && settlement["up"] == false && settlement["why"].is_string()
        })
        .await;
    };
    let sells = async |customer: &str| {
        testkit::until("the sale accepts orders", async || order(customer).await.status == 202).await;
    };
    sells("a").await;
    testkit::until("settlement is up", async || {
        readiness(&system).await.1["dependencies"]["settlement"]["up"] == true
    })
    .await;

    // Settlement is alive but cannot proceed: appended records wait.
    let mut database = system.database().await;
    let lock = database.transaction().await.expect("a transaction");
    lock.execute("SELECT FROM log_position FOR UPDATE", &[]).await.expect("locked");
    sells("b").await;
    refused("behind by what waits", "b2").await;
    lock.rollback().await.expect("unlocked");
    sells("c").await;

    // Settlement is dead: it publishes no position, although no record waits.
    settler.cancel();
    refused("no settled position was published for a while", "d").await;
    system.add_settlement(&[]);
    let started = Instant::now();
    loop {
        let answer = client.order(&sale, "e", "k", &order_body(&[("A", 1)])).await;
        if answer.status == 202 {
            break;
        }
        assert!(started.elapsed() < testkit::wait::PATIENCE, "the sale does not recover: {:?}", answer.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

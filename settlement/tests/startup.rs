//! Starting without a schema or topics, and several processes at once.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use clap::Parser as _;
use support::{Bench, acceptance, order};
use testkit::{environment, until};
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_create_the_schema_and_the_topics_at_once() {
    let bench = Bench::start(0).await;
    let all = tokio::join!(bench.process(&[]), bench.process(&[]), bench.process(&[]));
    let (sale, epoch) = bench.open(3, None, &[("A", Some(10))]).await;
    bench.write(3, &sale, &acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 1)])])).await;
    bench.until_orders(&sale, 1).await;
    let repeated =
        "SELECT count(*) - count(DISTINCT version) FROM refinery_schema_history WHERE $1::text <> ''";
    assert_eq!(bench.number(repeated, &sale).await, 0, "each migration is applied once");
    drop(all);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_waits_for_a_missing_dependency_and_reports_it() {
    let url = environment("DATABASE_URL");
    let (server, _) = url.rsplit_once('/').unwrap();
    let database = format!("t{}", uuid::Uuid::now_v7().simple());
    let settings = settlement::Settings::parse_from([
        "settlement",
        "--settlement-listen",
        "127.0.0.1:0",
        "--kafka-brokers",
        &environment("KAFKA_BROKERS"),
        "--redis-url",
        &environment("REDIS_URL"),
        "--database-url",
        &format!("{server}/{database}"),
        "--topic-prefix",
        &format!("{}-", testkit::fresh("t")),
    ]);
    let stop = CancellationToken::new();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let listener = settlement::bind(&settings).await.unwrap();
    let listen = listener.local_addr().unwrap();
    let running = tokio::spawn(settlement::run(settings, listener, recorder.handle(), stop.clone()));
    let readiness_contains = async |text: &str| {
        let Ok(response) = reqwest::get(format!("http://{listen}/health/ready")).await else { return false };
        response.text().await.unwrap().contains(text)
    };
    until("readiness names the database", async || readiness_contains("does not exist").await).await;
    assert!(!running.is_finished(), "the process waits");

    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    until("the process is ready", async || readiness_contains(r#"{"ready":true"#).await).await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

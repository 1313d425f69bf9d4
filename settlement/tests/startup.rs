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

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_a_newer_version_has_migrated_is_used() {
    let bench = Bench::start(0).await;
    drop(bench.process(&[]).await);
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                 SELECT 999, 'newer', applied_on, '1' FROM refinery_schema_history WHERE version = 1";
    bench.db.batch_execute(newer).await.unwrap();
    let _process = bench.process(&[]).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 1)])])).await;
    bench.until_orders(&sale, 1).await;
}

#[tokio::test]
async fn a_migration_has_no_time_limit_and_waits_for_locks_only_for_a_moment() {
    let url = testkit::system::fresh_database().await;
    let pool =
        process::postgres::pool(&url, 1, "test", "-c statement_timeout=1s -c lock_timeout=9s").unwrap();
    let check = "DO $$ BEGIN
        IF current_setting('statement_timeout') <> '0' OR current_setting('lock_timeout') <> '2s' THEN
            RAISE EXCEPTION 'limits: %, %', current_setting('statement_timeout'), current_setting('lock_timeout');
        END IF;
    END $$";
    let runner =
        refinery_core::Runner::new(&[refinery_core::Migration::unapplied("V1__check", check).unwrap()]);
    settlement::prepare::schema::apply(&pool, &runner).await.unwrap();
    let client = pool.get().await.unwrap();
    let limit: String = client.query_one("SHOW statement_timeout", &[]).await.unwrap().get(0);
    assert_eq!(limit, "1s", "the pool's other connections keep their limits");
}

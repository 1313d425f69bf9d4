//! The dashboard shows what the programs export, and Prometheus scrapes what docker-compose.yml runs.

mod binaries;
mod exported;
mod promql;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use binaries::Binaries;
use exported::Exported;
use process::kafka::{Message, Producer, ProducerSettings};
use promql::Query;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::client::{Client, order_of, terms};
use testkit::{EventStream, environment, eventually, until};

const SALE: &str = "dashboard";
/// How long after its cause a metric may appear.
const PATIENCE: Duration = Duration::from_secs(20);

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/dashboards/flash-sale.json")).expect("JSON")
}

fn yaml(path: &str) -> serde_yaml_ng::Value {
    serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A query with where it stands and the labels that its legend shows.
struct Shown {
    place: String,
    query: Query,
    legend: Vec<String>,
}

fn queries(dashboard: &Value) -> Vec<Shown> {
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let (expression, legend) = (target["expr"].as_str(), target["legendFormat"].as_str());
            let labels = legend.unwrap_or_default().split("{{").skip(1);
            let labels = labels.filter_map(|rest| Some(rest.split_once("}}")?.0.trim().to_owned()));
            all.push(Shown {
                place: format!("{}: {}", panel["title"], expression.unwrap_or_default()),
                query: promql::parse(expression.expect("a query")),
                legend: labels.collect(),
            });
        }
    }
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        let text = variable["query"]["query"].as_str().expect("a query");
        let inner = text.strip_prefix("label_values(").and_then(|text| text.strip_suffix(')'));
        let (metric, label) =
            inner.and_then(|inner| inner.split_once(", ")).expect("label_values(metric, label)");
        all.push(Shown { place: text.into(), query: promql::parse(metric), legend: vec![label.into()] });
    }
    all
}

#[tokio::test]
async fn each_query_of_the_dashboard_finds_its_metrics_in_the_running_programs() {
    let mut system = Binaries::start().await;
    live_through_everything(&mut system).await;

    let shown = queries(&dashboard());
    assert!(shown.len() > 45, "only {} queries were found", shown.len());
    let begun = Instant::now();
    loop {
        let mut exported = Exported::default();
        system.scrape().await.iter().for_each(|text| exported.read(text));
        let missing: Vec<_> = shown
            .iter()
            .map(|shown| (&shown.place, exported.missing(&shown.query, &shown.legend)))
            .filter(|(_, missing)| !missing.is_empty())
            .collect();
        if missing.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the dashboard asks for what nobody exports: {missing:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A short sale with a payment by card that somebody follows, and the troubles whose metrics appear only with
/// them: a rebuild that fails, a queue that is full, a record that nobody can read.
async fn live_through_everything(system: &mut Binaries) {
    let client = Client::new(&system.public, &system.admin);
    let path = format!("/admin/v1/sales/{SALE}");
    let stored =
        client.admin(Method::PUT, &path, Some(&terms(&[("A", 100, Some(5)), ("B", 100, None)]))).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{:?}", stored.body);
    system.redis.kill();
    let opened = client.admin(Method::POST, &format!("{path}/open"), None).await;
    assert_eq!(opened.status, StatusCode::OK, "{:?}", opened.body);
    until("a rebuild has failed", async || system.scrape().await[0].contains("\nrebuild_failures_total"))
        .await;
    system.redis.run().await;
    client.until_sale(SALE, "open", true).await;

    let body = order_of(&[("A", 1), ("B", 1)]);
    let accepted = client.order_until_told(SALE, "first", "k", &body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{:?}", accepted.body);
    let order = accepted.order_id();
    client.until_settled(SALE, "first", &order).await;
    let path = format!("/v1/sales/{SALE}/orders/{order}");
    let card = json!({"method": "card", "token": "tok_decline"});
    let paid = client.call("first", Method::POST, &format!("{path}/payment"), Some(card)).await;
    assert_eq!(paid.status, StatusCode::ACCEPTED, "{paid:?}");
    until("the card's word ends the order", async || {
        client.get("first", &path).await.body["status"] == "cancelled"
    })
    .await;
    let request = client.request(Method::GET, &format!("{path}/events")).bearer_auth("dev:first");
    let mut stream = EventStream::open(request).await.expect("a stream");
    while stream.next().await.is_some() {} // an order that is over ends its stream
    eventually("one of a crowd is turned away", async || {
        let crowd = (0..64).map(|i| {
            let (client, body) = (client.clone(), body.clone());
            tokio::spawn(async move { client.order(SALE, &format!("c{i}"), "k", &body).await })
        });
        let mut turned_away = false;
        for answer in crowd.collect::<Vec<_>>() {
            turned_away |= answer.await.expect("an answer").code() == "overloaded";
        }
        turned_away.then_some(())
    })
    .await;

    let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 10 };
    let producer =
        Producer::start(&environment("KAFKA_BROKERS"), "dashboard-test", &settings).expect("a producer");
    let unreadable = Message {
        topic: &format!("{}orders", system.topic_prefix),
        partition: Some(0),
        key: SALE,
        value: Some(b"not a record"),
        headers: &[("type", "riddle".into())],
    };
    producer.send(&unreadable).expect("sent").await.expect("in the log");
}

#[test]
fn every_panel_says_what_it_shows_and_where_from() {
    let dashboard = dashboard();
    let source = &yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"][0];
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = &panel["title"];
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 20), "{title}: no description");
        assert_eq!(panel["datasource"]["uid"].as_str(), source["uid"].as_str(), "{title}");
        assert!(panel["fieldConfig"]["defaults"]["thresholds"].is_object(), "{title}: no thresholds");
    }
}

#[test]
fn prometheus_and_grafana_find_what_docker_compose_runs() {
    let (prometheus, compose) = (yaml("grafana/prometheus.yml"), yaml("docker-compose.yml"));
    let source = &yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"][0];
    assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);

    let mut targets = Vec::new();
    for group in yaml("grafana/targets/compose.yml").as_sequence().expect("targets") {
        let addresses = group["targets"].as_sequence().expect("targets");
        targets.extend(addresses.iter().map(|target| target.as_str().expect("host:port").to_owned()));
    }
    let listens = [
        ("gateway", "GATEWAY_ADMIN_LISTEN"),
        ("settlement", "SETTLEMENT_LISTEN"),
        ("payments", "PAYMENTS_LISTEN"),
        ("notification", "NOTIFICATION_LISTEN"),
        ("analytics", "ANALYTICS_LISTEN"),
        ("provider", "PROVIDER_LISTEN"),
    ];
    let expected = listens.map(|(service, setting)| {
        let listen = compose["services"][service]["environment"][setting].as_str().expect("host:port");
        format!("{service}:{}", listen.rsplit_once(':').expect("a port").1)
    });
    assert_eq!(targets, expected);

    let mounts = |service: &str| {
        let volumes = compose["services"][service]["volumes"].as_sequence().expect("volumes");
        volumes.iter().filter_map(|volume| volume.as_str()).collect::<Vec<_>>().join("\n")
    };
    assert!(mounts("grafana").contains("./grafana/provisioning:/etc/grafana/provisioning:ro"));
    let folder = &yaml("grafana/provisioning/dashboards/flash-sale.yml")["providers"][0]["options"]["path"];
    let folder = folder.as_str().expect("a path");
    assert!(mounts("grafana").contains(&format!("./grafana/dashboards:{folder}:ro")));
}

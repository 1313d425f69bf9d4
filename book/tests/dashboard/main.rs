//! Dashboards, rules and runbooks: a real Prometheus with the rules of the repository scrapes a short sale on the real programs,
//! and every expression of every panel, variable, annotation and rule returns data.

mod binaries;
mod boards;
mod prometheus;
mod promql;
mod rules;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use binaries::Binaries;
use process::kafka::{Message, Producer, ProducerSettings};
use prometheus::Prometheus;
use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::client::{Client, order_body, terms};
use testkit::{EventStream, environment, eventually, until};

const SALE: &str = "dashboard";
/// The timeout until a metric appears.
const METRIC_TIMEOUT: Duration = Duration::from_secs(45);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> serde_yaml_ng::Value {
    serde_yaml_ng::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn every_expression_of_the_dashboards_and_rules_returns_data_in_a_real_sale() {
    let system = Binaries::start().await;
    let begun = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let prometheus = Prometheus::start(&system.targets()).await;
    run_sale_with_faults(&system).await;

    let queries = boards::queries();
    assert!(queries.len() > 100, "only {} queries were found", queries.len());
    let mut wanted: Vec<_> =
        queries.into_iter().map(|shown| (shown.place, shown.query, shown.legend)).collect();
    let records = rules::rules().into_iter().filter(|rule| !rule.is_alert);
    wanted.extend(records.map(|rule| (format!("{}: {}", rule.file, rule.name), rule.query, vec![])));
    let begun_polling = Instant::now();
    let mut buyers = Buyers::new(&system);
    until("Prometheus has seen an epoch", async || {
        !prometheus.range("sale_epoch > 0", begun).await.is_empty()
    })
    .await;
    buyers.rebuild().await;
    loop {
        buyers.add_order().await;
        let mut empty = Vec::new();
        for (place, query, legend) in wanted {
            let found = prometheus.range(&query, begun).await;
            let shows = |label: &String| found.iter().any(|series| series[label].is_string());
            if found.is_empty() || !legend.iter().all(shows) {
                empty.push((place, query, legend));
            }
        }
        if empty.is_empty() {
            break;
        }
        assert!(
            begun_polling.elapsed() < METRIC_TIMEOUT,
            "these return no data, or lack labels of their legends: {empty:#?}"
        );
        wanted = empty;
    }

    for choice in boards::choices() {
        let values = prometheus.label_values(&choice.label, Some(&choice.selector)).await;
        assert!(!values.is_empty(), "{}: no values to select", choice.place);
    }
    let known = prometheus.label_values("__name__", None).await;
    for rule in rules::rules() {
        for selector in promql::parse(&rule.query).selectors {
            assert!(
                known.contains(&selector.metric),
                "{}: no program exports {}",
                rule.name,
                selector.metric
            );
        }
    }
    assert_eq!(prometheus.broken_rules().await, [""; 0]);
}

/// Customers who keep the rates above 0 during the test.
struct Buyers {
    client: Client,
    count: u32,
}

impl Buyers {
    fn new(system: &Binaries) -> Self {
        Self { client: Client::new(&system.public, &system.admin), count: 0 }
    }

    /// Requests a rebuild as an operator, so that the sale has two epochs.
    async fn rebuild(&self) {
        let path = format!("/admin/v1/sales/{SALE}/rebuild");
        let response = self.client.admin(Method::POST, &path, None).await;
        assert!(response.status.is_success(), "{response:?}");
    }

    /// Places and pays an order of another customer.
    async fn add_order(&mut self) {
        self.count += 1;
        let (who, mut body) = (format!("late-{}", self.count), order_body(&[("B", 1)]));
        body["payment"] = json!({"method": "card", "token": "tok_approve"});
        let accepted = self.client.order_until_answered(SALE, &who, "k", &body).await;
        assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted:?}");
        self.client.until_settled(SALE, &who, &accepted.order_id()).await;
    }
}

/// Runs a short sale with a card payment and a live stream, and causes the faults whose metrics appear only then: a full queue,
/// and a record that cannot be decoded.
async fn run_sale_with_faults(system: &Binaries) {
    let client = Client::new(&system.public, &system.admin);
    let path = format!("/admin/v1/sales/{SALE}");
    let stored =
        client.admin(Method::PUT, &path, Some(&terms(&[("A", 100, Some(5)), ("B", 100, None)]))).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{:?}", stored.body);
    let opened = client.admin(Method::POST, &format!("{path}/open"), None).await;
    assert_eq!(opened.status, StatusCode::OK, "{:?}", opened.body);
    client.until_sale(SALE, "open", true).await;

    let body = order_body(&[("A", 1), ("B", 1)]);
    let accepted = client.order_until_answered(SALE, "first", "k", &body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{:?}", accepted.body);
    let order = accepted.order_id();
    client.until_settled(SALE, "first", &order).await;
    let path = format!("/v1/sales/{SALE}/orders/{order}");
    let card = json!({"method": "card", "token": "tok_decline"});
    until("the payment is accepted", async || {
        let payment = format!("{path}/payment");
        let paid = client.call("first", Method::POST, &payment, Some(card.clone())).await;
        paid.status == StatusCode::ACCEPTED // 503: try again
    })
    .await;
    until("the declined card cancels the order", async || {
        client.get("first", &path).await.body["status"] == "cancelled"
    })
    .await;
    let mut stream = eventually("a stream", async || {
        let request = client.request(Method::GET, &format!("{path}/events")).bearer_auth("dev:first");
        EventStream::open(request).await.ok()
    })
    .await;
    while stream.next().await.is_some() {} // a final order ends its stream
    eventually("one order of a burst is refused", async || {
        let crowd = (0..64).map(|i| {
            let (client, body) = (client.clone(), body.clone());
            tokio::spawn(async move { client.order(SALE, &format!("c{i}"), "k", &body).await })
        });
        let mut was_refused = false;
        for answer in crowd.collect::<Vec<_>>() {
            was_refused |= answer.await.expect("an answer").code() == "overloaded";
        }
        was_refused.then_some(())
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
fn prometheus_and_grafana_are_configured_for_docker_compose() {
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

//! Helpers that the tests of the groups share: topics that only one test uses, events that are published to them, and
//! groups that run in this process.
#![allow(dead_code)] // each test program uses a part of them

pub(crate) mod receiver;
pub(crate) mod tls;

use std::net::SocketAddr;

use clap::Parser;
use contract::event::{OrderEvent, headers, order_event_type};
use contract::ids::{CustomerId, OrderId, SaleId, Sequence};
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::Currency;
use contract::timestamp::Timestamp;
use contract::topics::ORDER_EVENTS;
use contract::wire;
use deadpool_postgres::Pool;
use downstream::host::Host;
use process::kafka::topics::ensure;
use process::kafka::{Message, Producer, ProducerSettings};
use process::settings::Services;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use testkit::environment;
use testkit::system::{fresh_database, metrics};
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[derive(Parser)]
struct ServicesOnly {
    #[command(flatten)]
    services: Services,
}

/// Topics that only one test uses.
pub(crate) struct Bench {
    pub(crate) services: Services,
    producer: Producer,
}

impl Bench {
    /// Creates `order-events` with a prefix of its own. Several tests may share the database.
    pub(crate) async fn start(database_url: &str) -> Self {
        let prefix = format!("{}-", testkit::fresh("d"));
        Self::on(database_url, &prefix).await
    }

    /// Creates `order-events` with this prefix.
    pub(crate) async fn on(database_url: &str, prefix: &str) -> Self {
        let this = Self::with_brokers(&environment("KAFKA_BROKERS"), database_url, prefix);
        ensure(&this.services, &[ORDER_EVENTS], 1, 1).await.expect("the topic");
        this
    }

    /// Connects to these brokers, which have the topics.
    pub(crate) fn with_brokers(brokers: &str, database_url: &str, prefix: &str) -> Self {
        testkit::tls::install_crypto_provider();
        let args =
            ["test", "--kafka-brokers", brokers, "--database-url", database_url, "--topic-prefix", prefix];
        let services = ServicesOnly::parse_from(args).services;
        let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100_000 };
        let producer = Producer::start(brokers, "test", &settings).expect("a producer");
        Self { services, producer }
    }

    /// Creates the environment of a group.
    pub(crate) fn host(&self) -> Host {
        Host::new(self.services.clone(), metrics(), CancellationToken::new())
    }

    /// Publishes an event as settlement does.
    pub(crate) async fn publish(&self, id: &str, event: &OrderEvent) {
        let key = event.order_id.to_string();
        let value = wire::encode(event);
        let about = headers(id, &order_event_type(event.status), &key, event.time);
        self.write(ORDER_EVENTS.name, None, &key, &value, &about).await;
    }

    /// Writes any record; returns its partition.
    pub(crate) async fn write(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: &str,
        value: &[u8],
        headers: &[(&str, String)],
    ) -> i32 {
        let topic = self.services.topic(topic);
        let message = Message { topic: &topic, partition, key, value: Some(value), headers };
        self.producer.send(&message).expect("space in the queue").await.expect("acknowledged").partition
    }

    /// Returns the number of records in a topic.
    pub(crate) async fn records(&self, topic: &str) -> i64 {
        let (brokers, topic) = (self.services.kafka_brokers.clone(), self.services.topic(topic));
        let count = move || {
            let config = process::kafka::client(&brokers, "test");
            let client: BaseConsumer = config.create().expect("a client");
            let limit = testkit::wait::PATIENCE;
            let metadata = client.fetch_metadata(Some(&topic), limit).expect("metadata");
            let partitions = metadata.topics()[0].partitions().iter().map(|partition| partition.id());
            let ends = partitions.map(|id| client.fetch_watermarks(&topic, id, limit).expect("its ends"));
            ends.map(|(low, high)| high - low).sum()
        };
        tokio::task::spawn_blocking(count).await.expect("no panic")
    }
}

/// Creates a database with settlement's tables, which are empty.
pub(crate) async fn database() -> (String, tokio_postgres::Client) {
    let url = fresh_database().await;
    let pool: Pool = process::postgres::pool(&url, 1, "test", "").expect("a pool");
    settlement::prepare::schema::migrate(&pool).await.expect("the schema");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("Postgres");
    tokio::spawn(connection);
    (url, client)
}

/// Creates the id of a new order.
pub(crate) fn order() -> OrderId {
    OrderId(Uuid::now_v7())
}

/// Creates an event of an order of 10,000 won.
pub(crate) fn event(order_id: OrderId, sale: &SaleId, status: OrderStatus, time: Timestamp) -> OrderEvent {
    OrderEvent {
        order_id,
        customer_id: CustomerId::parse("c-1").expect("a name"),
        sale_id: sale.clone(),
        status,
        description: status.description(Language::English).into(),
        time,
        sequence: Sequence(1),
        subtotal: 9000,
        discount: 0,
        delivery_fee: 1000,
        total: 10_000,
        currency: Currency::KRW,
        cancel_reason: (status == OrderStatus::Cancelled).then_some(CancelReason::Customer),
    }
}

/// A running group, which a test must stop.
pub(crate) struct Started {
    pub(crate) host: Host,
    pub(crate) url: String,
    task: Option<tokio::task::JoinHandle<()>>,
}

/// Stops the group of a test that fails.
impl Drop for Started {
    fn drop(&mut self) {
        self.host.stop.cancel();
    }
}

impl Started {
    /// Runs a group, and waits until it is ready.
    pub(crate) async fn new<F: Future<Output = ()> + Send + 'static>(
        host: Host,
        listen: SocketAddr,
        work: F,
    ) -> Self {
        let task = tokio::spawn(work);
        let url = format!("http://{listen}");
        let ready = format!("{url}/health/ready");
        testkit::until("the group is ready", async || {
            reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        Self { host, url, task: Some(task) }
    }

    /// Stops the group gracefully, as SIGTERM does.
    pub(crate) async fn stop(mut self) {
        self.host.stop.cancel();
        let task = self.task.take().expect("a group is stopped once");
        tokio::time::timeout(testkit::wait::PATIENCE, task).await.expect("in time").expect("no panic");
        self.host.clone().finish().await.expect("no task has ended before");
    }

    /// Returns the group's metrics.
    pub(crate) async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("{}/metrics", self.url)).await.expect("an answer");
        answer.text().await.expect("text")
    }

    /// Returns a JSON document from the group's listener.
    pub(crate) async fn get(&self, path: &str) -> serde_json::Value {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Sends a POST to the group's listener, and returns the status.
    pub(crate) async fn post(&self, path: &str) -> u16 {
        let answer = reqwest::Client::new().post(format!("{}{path}", self.url)).send().await;
        answer.expect("an answer").status().as_u16()
    }
}

//! A log that does not acknowledge or is down: orders are refused instead of waiting, nothing is lost, and the
//! gateway recovers automatically. librdkafka's mock cluster replaces the log, because a real broker cannot be made
//! unresponsive on demand. Neither settlement nor Postgres is running: a gateway needs neither to sell.

use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use contract::ids::{Epoch, SaleId};
use contract::keys::SaleKeys;
use contract::publication::SalePublication;
use contract::sale::{SaleState, SaleTerms};
use contract::wire;
use lua::Redis;
use lua::scripts::{Scripts, WrittenCounts, replication_id, seal};
use process::kafka::{Message, Producer, ProducerSettings};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::order_body;
use testkit::control::timed;
use testkit::system::metrics;
use testkit::{Client, environment, fresh};
use tokio_util::sync::CancellationToken;

const MARK: &str = "0123456789abcdef";
/// The broker's round-trip time during the outage: longer than a lease, shorter than the limit of a hand-off.
const STALL: Duration = Duration::from_secs(4);

struct Shop {
    gateway: Gateway,
    cluster: MockCluster<'static, DefaultProducerContext>,
    redis: Redis,
    sale: SaleId,
}

/// A gateway in this process, which stops when it is dropped.
struct Gateway {
    client: Client,
    admin: String,
    stop: CancellationToken,
    running: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.running.take().map(std::thread::JoinHandle::join);
        assert!(std::thread::panicking() || !matches!(ended, Some(Err(_))), "the gateway panicked");
    }
}

/// Writes the state of a rebuilt sale to Redis and returns its publication.
async fn build_sale(redis: &Redis, sale: &SaleId) -> SalePublication {
    let keys = SaleKeys::new(sale, Epoch(1));
    let fields = [&keys.stock, ":next", "1", ":released", "0", "A", "1000", "=A", "1000"];
    let args = fields.map(|arg| Bytes::copy_from_slice(arg.as_bytes())).to_vec();
    let _: u64 = redis.command("HSET", args).await.expect("written");
    let replid = replication_id(redis).await.expect("a replication id");
    let scripts = Scripts::render(sale, Epoch(1), MARK, &replid);
    scripts.load(redis).await.expect("loaded");
    let written = WrittenCounts { stock_fields: 4, buyer_fields: 0, arrival_bytes: 0 };
    seal(redis, &keys, MARK, &replid, written).await.expect("sealed");
    let terms = json!({"title": "T", "currency": "KRW",
                       "items": [{"sku": "A", "name": "A", "price": 1000, "total": 1000}]});
    SalePublication {
        sale_id: sale.clone(),
        partition: 0,
        state: SaleState::Open,
        version: 1,
        epoch: Epoch(1),
        ready: true,
        terms: serde_json::from_value::<SaleTerms>(terms).expect("terms"),
        scripts: Some(scripts.digests),
        requires: 0,
    }
}

impl Shop {
    async fn open() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        for topic in ["orders", "sales"] {
            cluster.create_topic(topic, 1, 1).expect("a topic");
        }
        let redis = Redis::connect_once(&environment("REDIS_URL"), Duration::from_secs(10)).await;
        let redis = redis.expect("Redis is up");
        let sale = SaleId::parse(&fresh("stalled")).expect("a name");
        let publication = build_sale(&redis, &sale).await;
        let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
        let producer = Producer::start(&cluster.bootstrap_servers(), "test", &settings).expect("a producer");
        let value = wire::encode(&publication);
        let key = publication.key();
        let message =
            Message { topic: "sales", partition: Some(0), key: &key, value: Some(&value), headers: &[] };
        producer.send(&message).expect("queue capacity").await.expect("acknowledged");

        let gateway = Gateway::start(&cluster.bootstrap_servers());
        let shop = Self { gateway, cluster, redis, sale };
        testkit::until("the gateway is ready", async || shop.gateway.readiness().await.0 == 200).await;
        let answer = shop.client().order_until_answered(shop.sale.as_str(), "first", "k", &order()).await;
        assert_eq!(answer.status, 202, "{:?}", answer.body);
        shop
    }

    fn client(&self) -> &Client {
        &self.gateway.client
    }

    /// Returns the number of orders that the script has accepted.
    async fn accepted(&self) -> u64 {
        let args = [SaleKeys::new(&self.sale, Epoch(1)).stock, ":next".into()].map(Bytes::from).to_vec();
        self.redis.command::<u64>("HGET", args).await.expect("a number") - 1
    }

    async fn sells_again(&self, customer: &str) {
        testkit::until("the sale accepts orders again", async || {
            let answer = self.client().order(self.sale.as_str(), customer, "k", &order()).await;
            answer.status == 202
        })
        .await;
    }
}

impl Gateway {
    fn start(brokers: &str) -> Self {
        let settings = gateway::Settings::parse_from([
            "gateway",
            "--dev-auth",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--kafka-brokers",
            brokers,
            "--redis-url",
            &environment("REDIS_URL"),
            "--database-url",
            "postgres://unused@127.0.0.1:1/nothing",
        ]);
        let stop = CancellationToken::new();
        let ends = stop.clone();
        let (bound, addresses) = std::sync::mpsc::channel();
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let run = async {
                let listeners = gateway::Listeners::bind(&settings).await.expect("free ports");
                bound.send((listeners.public_address, listeners.admin_address)).expect("the test waits");
                gateway::run(settings, listeners, metrics(), ends).await
            };
            runtime.expect("a runtime").block_on(run).expect("the gateway runs");
        });
        let (public, admin) = addresses.recv().expect("the gateway binds its listeners");
        let (public, admin) = (format!("http://{public}"), format!("http://{admin}"));
        Self { client: Client::new(&public, &admin), admin, stop, running: Some(running) }
    }

    async fn readiness(&self) -> (u16, Value) {
        // The listener is not open at first.
        let Ok(answer) = reqwest::get(format!("{}/health/ready", self.admin)).await else {
            return (0, Value::Null);
        };
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON"))
    }

    async fn shed(&self, reason: &str) -> f64 {
        let page = reqwest::get(format!("{}/metrics", self.admin)).await.expect("an answer");
        let page = page.text().await.expect("a page");
        let name = format!("gateway_shed_total{{reason=\"{reason}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&name)).map_or(0.0, |n| n.parse().expect("a number"))
    }
}

fn order() -> Value {
    order_body(&[("A", 1)])
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_is_unresponsive_orders_are_refused_at_once_until_an_acknowledgement_arrives() {
    let shop = Shop::open().await;
    shop.cluster.broker_round_trip_time(1, STALL).expect("a stalled broker");
    // Two batches are in transit to the log; the limit leaves no capacity for a third.
    let mut in_transit = vec![];
    for n in 0..2 {
        let before = shop.accepted().await;
        let (client, sale) = (shop.client().clone(), shop.sale.clone());
        in_transit.push(tokio::spawn(async move {
            client.order(sale.as_str(), &format!("w{n}"), "k", &order()).await
        }));
        testkit::until("the order is reserved", async || shop.accepted().await > before).await;
    }
    let refused = async |customer: &str| {
        let order = order();
        let request = shop.client().order(shop.sale.as_str(), customer, "k", &order);
        let (answer, timing) = timed(shop.client(), request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "log_unavailable"), "{:?}", answer.body);
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        timing
    };
    let waited = refused("waits").await;
    waited.assert_within(Duration::from_millis(1500), "refused after a second without an acknowledgement");
    assert!(shop.gateway.shed("log_silent").await >= 1.0);
    for n in 0..10 {
        let timing = refused(&format!("late{n}")).await;
        timing.assert_within(Duration::from_millis(300), "the request does not wait in the queue");
    }
    assert_eq!(shop.accepted().await, 3, "nothing was reserved for the refused orders");

    shop.cluster.broker_round_trip_time(1, Duration::ZERO).expect("a fast broker");
    shop.sells_again("after").await;
    for waiting in in_transit {
        let answer = waiting.await.expect("an answer");
        assert!(answer.status == 202 || answer.code() == "outcome_unknown", "{:?}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_is_down_nothing_is_promised_and_new_orders_are_refused_early() {
    let shop = Shop::open().await;
    shop.cluster.broker_down(1).expect("down");
    testkit::until("readiness reports the lease", async || {
        let (status, body) = shop.gateway.readiness().await;
        status == 503 && body["dependencies"]["lease"]["up"] == false
    })
    .await;
    let before = shop.accepted().await;
    for n in 0..10 {
        let (customer, order) = (format!("c{n}"), order());
        let request = shop.client().order(shop.sale.as_str(), &customer, "k", &order);
        let (answer, timing) = timed(shop.client(), request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "log_unavailable"), "{:?}", answer.body);
        timing.assert_within(Duration::from_millis(300), "refused early");
    }
    assert_eq!(shop.accepted().await, before, "nothing is reserved that the log cannot record");
    // Kafka counts as failed only after a heartbeat has failed.
    testkit::until("readiness reports Kafka, too", async || {
        shop.gateway.readiness().await.1["dependencies"]["kafka"]["up"] == false
    })
    .await;
    shop.cluster.broker_up(1).expect("up");
    shop.sells_again("after").await;
    testkit::until("the gateway is ready again", async || shop.gateway.readiness().await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_has_not_read_the_sales_yet_denies_nothing() {
    let shop = Shop::open().await;
    let sale = shop.sale.as_str();
    let first = shop.client().order_until_answered(sale, "starts", "k", &order()).await;
    let own = format!("/v1/sales/{sale}/orders/{}", first.order_id());
    shop.cluster.broker_down(1).expect("down");
    let started = Gateway::start(&shop.cluster.bootstrap_servers());
    testkit::until("readiness reports that the gateway is starting", async || {
        let (status, body) = started.readiness().await;
        let cause = body["dependencies"]["lease"]["why"].as_str().unwrap_or_default();
        status == 503 && cause.starts_with("starting:")
    })
    .await;

    let callback = json!({"data": {"sale_id": sale}});
    let requests = [
        (Method::GET, "/v1/sales".to_string(), None),
        (Method::GET, format!("/v1/sales/{sale}"), None),
        (Method::GET, format!("/v1/sales/{sale}/items/A/availability"), None),
        (Method::POST, format!("/v1/sales/{sale}/orders"), Some(order())),
        (Method::GET, format!("/v1/sales/{sale}/orders"), None),
        (Method::GET, own.clone(), None),
        (Method::GET, format!("{own}/status"), None),
        (Method::GET, format!("{own}/delivery"), None),
        (Method::GET, format!("{own}/events"), None),
        (Method::GET, format!("{own}/ws"), None),
        (Method::DELETE, own.clone(), None),
        (Method::POST, format!("{own}/payment"), Some(json!({"method": "wallet"}))),
        (Method::POST, format!("{own}/refund"), None),
        (Method::GET, "/v1/wallet".to_string(), None),
        (Method::POST, "/v1/payments/callback".to_string(), Some(callback)),
    ];
    for (method, path, body) in requests {
        let answer = started.client.call("starts", method.clone(), &path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "starting"), "{method} {path}: {answer:?}");
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    }
    let answer = started.client.admin(Method::GET, &format!("/admin/v1/sales/{sale}/orders"), None).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "starting"), "{answer:?}");

    shop.cluster.broker_up(1).expect("up");
    testkit::until("the gateway is ready", async || started.readiness().await.0 == 200).await;
    let replay = started.client.order(sale, "starts", "k", &order()).await;
    assert_eq!((replay.status.as_u16(), replay.order_id()), (202, first.order_id()), "the first answer");
    let unknown = started.client.get("starts", "/v1/sales/other").await;
    assert_eq!((unknown.status.as_u16(), unknown.code()), (404, "unknown_sale"));

    // Without a valid lease, a sale that is not known may have been opened meanwhile.
    shop.cluster.broker_down(1).expect("down");
    testkit::until("the lease has expired", async || started.readiness().await.0 == 503).await;
    let unknown = started.client.get("starts", "/v1/sales/other").await;
    assert_eq!((unknown.status.as_u16(), unknown.code()), (503, "log_unavailable"));
}

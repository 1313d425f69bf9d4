//! Helpers that the tests share: components of `downstream` in this process or as processes of their own, the
//! provider's API, and a merchant that receives callbacks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use clap::Parser;
use contract::webhook::PaymentCallback;
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::PrometheusBuilder;
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::system::{Shape, System};
use testkit::{Client, Program, claim_address, fresh, until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[path = "../support/tls.rs"]
pub(crate) mod tls;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The delay of late actions in these tests, in milliseconds.
pub(crate) const LATE_MS: u64 = 700;

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_string)
}

/// A component of `downstream` in this process, which stops when the value is dropped.
pub(crate) struct ComponentThread {
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ComponentThread {
    pub(crate) fn start(args: impl Iterator<Item = String>) -> Self {
        let settings = downstream::Settings::parse_from(words("downstream").chain(args));
        let stop = CancellationToken::new();
        let (stopped, metrics) = (stop.clone(), PrometheusBuilder::new().build_recorder().handle());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let run = downstream::run(settings, metrics, stopped);
            runtime.expect("a runtime").block_on(run).expect("the component runs");
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for ComponentThread {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        if !std::thread::panicking() {
            assert!(!matches!(ended, Some(Err(_))), "a component panicked");
        }
    }
}

/// Starts a component as a process of its own, which a test can kill.
pub(crate) fn start_process(args: impl IntoIterator<Item = String>) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_downstream"));
    Program::spawn(command.args(args).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// A provider in this process, and a client of its API.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    journal: PathBuf,
    late_ms: u64,
    part: Option<ComponentThread>,
    http: reqwest::Client,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::start_late(LATE_MS).await
    }

    /// Starts a provider with this delay of late actions.
    pub(crate) async fn start_late(late_ms: u64) -> Self {
        let journal = std::env::temp_dir().join(fresh("provider")).join("payments.jsonl");
        testkit::tls::install_crypto_provider();
        let http = reqwest::Client::new();
        let mut this = Self { address: claim_address(), journal, late_ms, part: None, http };
        this.run().await;
        this
    }

    /// Starts the provider with its stored payments.
    pub(crate) async fn run(&mut self) {
        self.run_with("").await;
    }

    /// Starts the provider with further arguments.
    pub(crate) async fn run_with(&mut self, args: &str) {
        let own = format!(
            "provider --provider-listen {} --provider-journal {} --payment-webhook-secret {SECRET} \
             --provider-late-ms {} {args}",
            self.address,
            self.journal.display(),
            self.late_ms
        );
        self.part = Some(ComponentThread::start(words(&own)));
        until("the provider responds", async || self.http.get(self.url("/health/live")).send().await.is_ok())
            .await;
    }

    pub(crate) fn stop(&mut self) {
        self.part = None;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        send(self.http.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        send(self.http.post(self.url(path)).header("idempotency-key", key).json(body)).await
    }

    pub(crate) async fn charge(&self, charge: &Value) -> (StatusCode, Value) {
        let key = charge["payment_id"].as_str().expect("an id").to_string();
        self.post("/v1/payments", &key, charge).await
    }

    /// Returns the order, the captured and the refunded amount of each payment of a sale.
    pub(crate) async fn ledger(&self, sale: &str) -> Vec<(String, u64, u64)> {
        let (status, page) = self.get(&format!("/v1/ledger?sale={sale}&limit=10000")).await;
        assert_eq!((status, &page["next"]), (StatusCode::OK, &Value::Null));
        let entries = page["entries"].as_array().expect("entries").iter();
        let number = |value: &Value| value.as_u64().expect("an amount");
        entries
            .map(|entry| {
                let order = entry["order_id"].as_str().expect("an order").to_string();
                (order, number(&entry["captured"]), number(&entry["refunded"]))
            })
            .collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.part = None;
        if let Some(folder) = self.journal.parent() {
            let _ = std::fs::remove_dir_all(folder); // leftover files in the temporary folder do no harm
        }
    }
}

/// Sends a request, and returns the status and the JSON body of the response.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("a response");
    let status = response.status();
    (status, serde_json::from_slice(&response.bytes().await.expect("a body")).unwrap_or_default())
}

/// Creates a charge of 1000 won.
pub(crate) fn charge(sale: &str, token: Option<&str>, callback_url: Option<&str>) -> Value {
    let mut charge = json!({"payment_id": Uuid::now_v7(), "order_id": Uuid::now_v7(), "sale_id": sale,
        "amount": 1000, "currency": "KRW"});
    for (name, value) in [("token", token), ("callback_url", callback_url)] {
        if let Some(value) = value {
            charge[name] = value.into();
        }
    }
    charge
}

/// A received callback: its id, its body, and whether its signature is valid.
pub(crate) type ReceivedCallback = (String, PaymentCallback, bool);

/// A merchant that receives callbacks.
pub(crate) struct Merchant {
    pub(crate) url: String,
    callbacks: Arc<Mutex<Vec<ReceivedCallback>>>,
    refusals_left: Arc<Mutex<u32>>,
    stop: CancellationToken,
}

impl Merchant {
    /// Starts a merchant that rejects the first `refusals` callbacks.
    pub(crate) async fn start(refusals: u32) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/callback", listener.local_addr().expect("its address"));
        let this = Self {
            url,
            callbacks: Arc::default(),
            refusals_left: Arc::new(Mutex::new(refusals)),
            stop: CancellationToken::new(),
        };
        let (callbacks, left) = (this.callbacks.clone(), this.refusals_left.clone());
        let handler = move |request: hyper::Request<hyper::body::Incoming>| {
            let (callbacks, left) = (callbacks.clone(), left.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                callbacks.lock().push(read(&head.headers, &body));
                let mut left = left.lock();
                let status = if *left > 0 { 503 } else { 204 };
                *left = left.saturating_sub(1);
                let mut response = hyper::Response::new(Full::new(bytes::Bytes::new()));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                response
            }
        };
        tokio::spawn(process::http::serve(listener, 16, handler, this.stop.clone()));
        this
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let authority = self.url.trim_start_matches("http://").trim_end_matches("/callback");
        authority.parse().expect("an address")
    }

    /// Returns the callbacks about a payment so far.
    pub(crate) fn callbacks(&self, charge: &Value) -> Vec<ReceivedCallback> {
        let callbacks = self.callbacks.lock();
        let is_about =
            |callback: &&ReceivedCallback| charge["payment_id"] == callback.1.payment_id.to_string();
        callbacks.iter().filter(is_about).cloned().collect()
    }
}

impl Drop for Merchant {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn read(headers: &hyper::HeaderMap, body: &[u8]) -> ReceivedCallback {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secret = contract::webhook::Secret::parse(SECRET).expect("a secret");
    let signed = contract::webhook::SignatureHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let is_valid = secret.verify(signed, body, process::walltime::now()).is_ok();
    (signed.id.to_string(), serde_json::from_slice(body).expect("a callback"), is_valid)
}

/// A shop that accepts cards: a gateway, a settlement process and a provider. A test may start payments itself.
pub(crate) struct Shop {
    // The fields are dropped in this order, so that no component calls one that has stopped.
    pub(crate) payments: Option<ComponentThread>,
    pub(crate) system: System,
    pub(crate) provider: Provider,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_late(LATE_MS).await
    }

    /// Opens a shop whose provider has this delay of late actions.
    pub(crate) async fn open_late(late_ms: u64) -> Self {
        let gateway_args = words(&format!("--payment-webhook-secret {SECRET}")).collect();
        let system = System::start(Shape { gateway_args, ..Shape::default() }).await;
        Self { payments: None, system, provider: Provider::start_late(late_ms).await }
    }

    /// Returns the arguments of payments with a provider at this URL.
    pub(crate) fn payments_args(&self, provider_url: &str) -> impl Iterator<Item = String> + use<> {
        let callback = format!("{}/v1/payments/callback", self.system.gateways[0].0);
        let own = format!(
            "payments --payments-listen {} --provider-url {provider_url} --payment-callback-url {callback} \
             --provider-timeout-ms 1000 --payments-sweep-every-ms 200 --payments-sweep-after-ms 1500",
            claim_address()
        );
        let words: Vec<String> = words(&own).collect();
        self.system.service_args().into_iter().chain(words)
    }

    pub(crate) fn start_payments(&mut self, provider_url: &str) {
        self.payments = Some(ComponentThread::start(self.payments_args(provider_url)));
    }
}

/// Returns the shop that most tests share. Each test creates a sale of its own.
pub(crate) fn shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| {
        let mut shop = open_shop();
        shop.start_payments(&shop.provider.url(""));
        shop
    })
}

/// Returns a shop without payments, which the tests of callbacks share.
pub(crate) fn quiet_shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(open_shop)
}

/// Opens a shop on a thread of its own, because the first caller is inside a runtime.
fn open_shop() -> Shop {
    let opening = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(Shop::open())
    });
    opening.join().expect("the shop opens")
}

/// Opens a new sale of 100 units at 1000 won.
pub(crate) async fn open_sale(client: &Client, hold_seconds: u64) -> String {
    let sale = fresh("card");
    let mut terms = testkit::client::terms(&[("A", 1000, Some(100))]);
    terms["hold_seconds"] = json!(hold_seconds);
    client.open_sale(&sale, terms).await;
    sale
}

/// Places an order that is paid at once with this card token.
pub(crate) async fn order_by_card(client: &Client, sale: &str, customer: &str, token: &str) -> String {
    let mut body = testkit::client::order_body(&[("A", 1)]);
    body["payment"] = json!({"method": "card", "token": token});
    let placed = client.order_until_answered(sale, customer, "k", &body).await;
    assert_eq!(placed.status, 202, "{:?}", placed.body);
    placed.order_id()
}

/// Returns an order as its customer sees it.
pub(crate) async fn get_order(client: &Client, sale: &str, customer: &str, order: &str) -> Value {
    client.get(customer, &format!("/v1/sales/{sale}/orders/{order}")).await.body
}

/// Waits until an order and its payment have these statuses.
pub(crate) async fn until_order(
    client: &Client,
    sale: &str,
    customer: &str,
    order: &str,
    (status, payment): (&str, &str),
) -> Value {
    testkit::eventually(&format!("{order} is {status}, its payment {payment}"), async || {
        let order = get_order(client, sale, customer, order).await;
        (order["status"] == status && order["payment"]["status"] == payment).then_some(order)
    })
    .await
}

pub(crate) async fn cancel(client: &Client, sale: &str, customer: &str, order: &str) -> StatusCode {
    let request = client.request(Method::DELETE, &format!("/v1/sales/{sale}/orders/{order}"));
    client.send(request.bearer_auth(format!("dev:{customer}"))).await.status
}

/// Returns the notes of settlement about an order: command and result, in the order of the log.
pub(crate) async fn notes(shop: &Shop, order: &str) -> Vec<(String, String)> {
    let database = shop.system.database().await;
    let select = "SELECT command, result FROM order_note WHERE order_id = $1 ORDER BY log_offset";
    let order: Uuid = order.parse().expect("an id");
    let rows = database.query(select, &[&order]).await.expect("rows");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

//! What the tests share: parts of `downstream` in this process or as processes of their own, the provider's
//! API, and somebody who takes callbacks.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use clap::Parser;
use contract::webhook::PaymentCallback;
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::system::{Shape, System};
use testkit::{Client, fresh, until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[path = "../support/tls.rs"]
pub(crate) mod tls;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// How late what is late comes here, in milliseconds.
pub(crate) const LATE_MS: u64 = 700;

pub(crate) fn free_address() -> SocketAddr {
    let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("its address")
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_string)
}

/// A part of `downstream` in this process; stopped with the value.
pub(crate) struct Part {
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Part {
    pub(crate) fn start(args: impl Iterator<Item = String>) -> Self {
        let settings = downstream::Settings::parse_from(words("downstream").chain(args));
        let stop = CancellationToken::new();
        let (stopped, metrics) = (stop.clone(), PrometheusBuilder::new().build_recorder().handle());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let run = downstream::run(settings, metrics, stopped);
            runtime.expect("a runtime").block_on(run).expect("the part runs");
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        if !std::thread::panicking() {
            assert!(!matches!(ended, Some(Err(_))), "a part ended by a panic");
        }
    }
}

/// A part as a process of its own, to be killed.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(args: impl Iterator<Item = String>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_downstream"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the binary starts"))
    }
    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A provider in this process, and its API.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    journal: PathBuf,
    late_ms: u64,
    part: Option<Part>,
    http: reqwest::Client,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::start_late(LATE_MS).await
    }

    /// What is late comes so late.
    pub(crate) async fn start_late(late_ms: u64) -> Self {
        let journal = std::env::temp_dir().join(fresh("provider")).join("payments.jsonl");
        testkit::tls::install_crypto_provider();
        let http = reqwest::Client::new();
        let mut this = Self { address: free_address(), journal, late_ms, part: None, http };
        this.run().await;
        this
    }

    /// Starts it where it does not run, with what it remembers.
    pub(crate) async fn run(&mut self) {
        self.run_with("").await;
    }

    /// With further arguments.
    pub(crate) async fn run_with(&mut self, args: &str) {
        let own = format!(
            "provider --provider-listen {} --provider-journal {} --payment-webhook-secret {SECRET} \
             --provider-late-ms {} {args}",
            self.address,
            self.journal.display(),
            self.late_ms
        );
        self.part = Some(Part::start(words(&own)));
        until("the provider answers", async || self.http.get(self.url("/health/live")).send().await.is_ok())
            .await;
    }

    pub(crate) fn stop(&mut self) {
        self.part = None;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.http.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.http.post(self.url(path)).header("idempotency-key", key).json(body)).await
    }

    pub(crate) async fn charge(&self, charge: &Value) -> (StatusCode, Value) {
        let key = charge["payment_id"].as_str().expect("an id").to_string();
        self.post("/v1/payments", &key, charge).await
    }

    /// What the provider has of each order of a sale: order, captured, refunded.
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
            let _ = std::fs::remove_dir_all(folder); // left-overs in the temporary folder do no harm
        }
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default())
}

/// A charge of 1000 won.
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

/// A callback as it came: its id, what it tells, and whether its signature is right.
pub(crate) type Heard = (String, PaymentCallback, bool);

/// Somebody who takes callbacks.
pub(crate) struct Merchant {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    refusals_left: Arc<Mutex<u32>>,
    stop: CancellationToken,
}

impl Merchant {
    /// Refuses the first `refusals`.
    pub(crate) async fn start(refusals: u32) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/callback", listener.local_addr().expect("its address"));
        let this = Self {
            url,
            heard: Arc::default(),
            refusals_left: Arc::new(Mutex::new(refusals)),
            stop: CancellationToken::new(),
        };
        let (heard, left) = (this.heard.clone(), this.refusals_left.clone());
        let handler = move |request: hyper::Request<hyper::body::Incoming>| {
            let (heard, left) = (heard.clone(), left.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                heard.lock().expect("no panic").push(read(&head.headers, &body));
                let mut left = left.lock().expect("no panic");
                let status = if *left > 0 { 503 } else { 204 };
                *left = left.saturating_sub(1);
                let mut answer = hyper::Response::new(Full::new(bytes::Bytes::new()));
                *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
                answer
            }
        };
        tokio::spawn(process::http::serve(listener, 16, handler, this.stop.clone()));
        this
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let authority = self.url.trim_start_matches("http://").trim_end_matches("/callback");
        authority.parse().expect("an address")
    }

    /// What came about a payment so far.
    pub(crate) fn heard(&self, charge: &Value) -> Vec<Heard> {
        let heard = self.heard.lock().expect("no panic");
        let of = |heard: &&Heard| charge["payment_id"] == heard.1.payment_id.to_string();
        heard.iter().filter(of).cloned().collect()
    }
}

impl Drop for Merchant {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn read(headers: &hyper::HeaderMap, body: &[u8]) -> Heard {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secret = contract::webhook::Secret::parse(SECRET).expect("a secret");
    let signed = contract::webhook::SignatureHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let right = secret.verify(signed, body, process::walltime::now()).is_ok();
    (signed.id.to_string(), serde_json::from_slice(body).expect("a callback"), right)
}

/// A shop that takes cards: one gateway, one settler, a provider; and payments, unless a test starts them.
pub(crate) struct Shop {
    // Dropped in this order: nobody asks who is gone.
    pub(crate) payments: Option<Part>,
    pub(crate) system: System,
    pub(crate) provider: Provider,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_late(LATE_MS).await
    }

    /// Whose provider is so late, where it is late.
    pub(crate) async fn open_late(late_ms: u64) -> Self {
        let gateway_args = words(&format!("--payment-webhook-secret {SECRET}")).collect();
        let system = System::start(Shape { gateway_args, ..Shape::default() }).await;
        Self { payments: None, system, provider: Provider::start_late(late_ms).await }
    }

    /// The arguments of payments that find the provider at this URL.
    pub(crate) fn payments_args(&self, provider_url: &str) -> impl Iterator<Item = String> + use<> {
        let callback = format!("{}/v1/payments/callback", self.system.gateways[0].0);
        let own = format!(
            "payments --payments-listen {} --provider-url {provider_url} --payment-callback-url {callback} \
             --provider-timeout-ms 1000 --payments-sweep-every-ms 200 --payments-sweep-after-ms 1500",
            free_address()
        );
        let words: Vec<String> = words(&own).collect();
        self.system.service_args().into_iter().chain(words)
    }

    pub(crate) fn start_payments(&mut self, provider_url: &str) {
        self.payments = Some(Part::start(self.payments_args(provider_url)));
    }
}

/// The shop that most tests share. Each makes its own sale.
pub(crate) fn shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| {
        let mut shop = opened();
        shop.start_payments(&shop.provider.url(""));
        shop
    })
}

/// Another one, where nobody works on payments.
pub(crate) fn quiet_shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(opened)
}

/// On a thread of its own: the first caller is inside a runtime already.
fn opened() -> Shop {
    let opening = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(Shop::open())
    });
    opening.join().expect("the shop opens")
}

/// A new sale of 100 units at 1000 won.
pub(crate) async fn sale_of(client: &Client, hold_seconds: u64) -> String {
    let sale = fresh("card");
    let mut terms = testkit::client::terms(&[("A", 1000, Some(100))]);
    terms["hold_seconds"] = json!(hold_seconds);
    client.open_sale(&sale, terms).await;
    sale
}

/// Places an order that is paid at once by a card with this token.
pub(crate) async fn order_by_card(client: &Client, sale: &str, customer: &str, token: &str) -> String {
    let mut body = testkit::client::order_body(&[("A", 1)]);
    body["payment"] = json!({"method": "card", "token": token});
    let placed = client.order_until_answered(sale, customer, "k", &body).await;
    assert_eq!(placed.status, 202, "{:?}", placed.body);
    placed.order_id()
}

pub(crate) async fn shown(client: &Client, sale: &str, customer: &str, order: &str) -> Value {
    client.get(customer, &format!("/v1/sales/{sale}/orders/{order}")).await.body
}

/// Waits until an order, and its payment, stand so.
pub(crate) async fn until_order(
    client: &Client,
    sale: &str,
    customer: &str,
    order: &str,
    (status, payment): (&str, &str),
) -> Value {
    testkit::eventually(&format!("{order} is {status}, its payment {payment}"), async || {
        let order = shown(client, sale, customer, order).await;
        (order["status"] == status && order["payment"]["status"] == payment).then_some(order)
    })
    .await
}

pub(crate) async fn cancel(client: &Client, sale: &str, customer: &str, order: &str) -> StatusCode {
    let request = client.request(Method::DELETE, &format!("/v1/sales/{sale}/orders/{order}"));
    client.send(request.bearer_auth(format!("dev:{customer}"))).await.status
}

/// The results of commands that settlement took note of: command and result, in the order of the log.
pub(crate) async fn notes(shop: &Shop, order: &str) -> Vec<(String, String)> {
    let database = shop.system.database().await;
    let select = "SELECT command, result FROM order_note WHERE order_id = $1 ORDER BY log_offset";
    let order: Uuid = order.parse().expect("an id");
    let rows = database.query(select, &[&order]).await.expect("rows");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

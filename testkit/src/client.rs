//! An operator and customers, over HTTP, as outsiders see the system.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Between two tries of an order that was answered 503.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// A client of one gateway.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    public: String,
    admin: String,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body; `null` where there is none or it is not JSON.
    pub body: Value,
}

impl Answer {
    /// A problem's code.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
    /// Whether it is the first answer given again.
    pub fn replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }
    /// The order's id.
    pub fn order_id(&self) -> String {
        self.body["order_id"].as_str().unwrap_or_else(|| panic!("no order id in {self:?}")).to_string()
    }
}

impl Client {
    /// Of a gateway's two addresses.
    pub fn new(public: &str, admin: &str) -> Self {
        crate::tls::install_crypto_provider();
        Self { http: reqwest::Client::new(), public: public.into(), admin: admin.into() }
    }

    /// Any request to the public listener, to be changed and sent.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.public))
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.expect("a whole body");
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// `GET` of the public listener, as a customer.
    pub async fn get(&self, customer: &str, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(format!("dev:{customer}"))).await
    }

    /// Any call of the public listener, as a customer.
    pub async fn call(&self, customer: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).bearer_auth(format!("dev:{customer}"));
        self.send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Puts money into a customer's wallet, once per key.
    pub async fn credit(&self, customer: &str, key: &str, body: &Value) -> Answer {
        let request = self.admin_request(Method::POST, &format!("/admin/v1/wallets/{customer}/credit"));
        self.send(request.header("Idempotency-Key", key).json(body)).await
    }

    /// The address of a WebSocket of the public listener.
    pub fn socket_url(&self, path: &str) -> String {
        let rest = self.public.strip_prefix("http").expect("an http URL");
        format!("ws{rest}{path}")
    }

    /// Places an order.
    pub async fn order(&self, sale: &str, customer: &str, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, &format!("/v1/sales/{sale}/orders"));
        self.send(request.bearer_auth(format!("dev:{customer}")).header("Idempotency-Key", key).json(body))
            .await
    }

    /// Places an order, again with the same key while the answer is 503.
    pub async fn order_until_answered(&self, sale: &str, customer: &str, key: &str, body: &Value) -> Answer {
        // A loop of its own: the future of an async closure cannot be sent to another thread.
        let begun = Instant::now();
        loop {
            let answer = self.order(sale, customer, key, body).await;
            if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
            assert!(begun.elapsed() < crate::wait::PATIENCE, "only 503, at last {:?}", answer.body);
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Any request to the admin listener as the operator, to be changed and sent.
    pub fn admin_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.admin)).bearer_auth("dev-admin")
    }

    /// A call of the admin listener, as the operator.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.admin_request(method, path);
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Defines a sale of these items (`[sku, price, total]`, merged with other terms) and opens it; waits
    /// until this gateway sells it.
    pub async fn open_sale(&self, sale: &str, terms: Value) {
        // 503 on a busy machine leaves open whether it was done: the second time is no creation then.
        let steps = [(Method::PUT, "", Some(&terms)), (Method::POST, "/open", None)];
        for (method, action, body) in steps {
            let path = format!("/admin/v1/sales/{sale}{action}");
            let told = crate::eventually(&format!("{method} {path} is answered"), async || {
                let answer = self.admin(method.clone(), &path, body).await;
                (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
            })
            .await;
            assert!(told.status.is_success(), "{told:?}");
        }
        self.until_sale(sale, "open", true).await;
    }

    /// Waits until this gateway shows a sale in a state.
    pub async fn until_sale(&self, sale: &str, state: &str, ready: bool) {
        crate::until(&format!("{sale} is {state}, ready: {ready}"), async || {
            let shown = self.get("anyone", &format!("/v1/sales/{sale}")).await.body;
            shown["state"] == state && shown["ready"] == ready
        })
        .await;
    }

    /// Waits until an order is settled.
    pub async fn until_settled(&self, sale: &str, customer: &str, order: &str) -> Value {
        crate::eventually(&format!("{order} is settled"), async || {
            let shown = self.get(customer, &format!("/v1/sales/{sale}/orders/{order}")).await;
            (shown.status == StatusCode::OK && shown.body["status"] != "processing").then_some(shown.body)
        })
        .await
    }
}

/// Terms with these items: SKU, price, total (`null`: unlimited); one order a customer.
pub fn terms(items: &[(&str, u64, Option<u64>)]) -> Value {
    let items: Vec<_> = items
        .iter()
        .map(|(sku, price, total)| json!({"sku": sku, "name": sku, "price": price, "total": total}))
        .collect();
    json!({"title": "A test", "currency": "KRW", "max_orders_per_customer": 1, "hold_seconds": 3600, "items": items})
}

/// An order's body with these lines: SKU and quantity.
pub fn order_body(lines: &[(&str, u32)]) -> Value {
    let items: Vec<_> =
        lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    json!({"items": items})
}

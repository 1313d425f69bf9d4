//! An HTTP client for operators and customers, which uses only the public interfaces.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The delay between two attempts of an order after a 503.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// A client of one gateway.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    public: String,
    admin: String,
}

/// A complete HTTP response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The response headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body; `null` if it is empty or not JSON.
    pub body: Value,
}

impl Answer {
    /// Returns the code of a problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
    /// Returns whether the response is a replay of an earlier one.
    pub fn replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }
    /// Returns the order's id.
    pub fn order_id(&self) -> String {
        self.body["order_id"].as_str().unwrap_or_else(|| panic!("no order id in {self:?}")).to_string()
    }
}

impl Client {
    /// Creates a client from a gateway's two addresses.
    pub fn new(public: &str, admin: &str) -> Self {
        crate::tls::install_crypto_provider();
        Self { http: reqwest::Client::new(), public: public.into(), admin: admin.into() }
    }

    /// Builds a request to the public listener.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.public))
    }

    /// Sends a request and reads the whole response.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.expect("a whole body");
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// Sends `GET` to the public listener as a customer.
    pub async fn get(&self, customer: &str, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(format!("dev:{customer}"))).await
    }

    /// Sends any request to the public listener as a customer.
    pub async fn call(&self, customer: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).bearer_auth(format!("dev:{customer}"));
        self.send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Credits a customer's wallet, once per key.
    pub async fn credit(&self, customer: &str, key: &str, body: &Value) -> Answer {
        let request = self.admin_request(Method::POST, &format!("/admin/v1/wallets/{customer}/credit"));
        self.send(request.header("Idempotency-Key", key).json(body)).await
    }

    /// Returns the URL of a WebSocket of the public listener.
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

    /// Places an order, and retries with the same key while the response is 503.
    pub async fn order_until_answered(&self, sale: &str, customer: &str, key: &str, body: &Value) -> Answer {
        // Not `eventually`, because the future of an async closure is not `Send`.
        let begun = Instant::now();
        loop {
            let answer = self.order(sale, customer, key, body).await;
            if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                return answer;
            }
            assert!(begun.elapsed() < crate::wait::PATIENCE, "only 503, the last one {:?}", answer.body);
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Builds a request to the admin listener as the operator.
    pub fn admin_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.admin)).bearer_auth("dev-admin")
    }

    /// Sends a request to the admin listener as the operator.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.admin_request(method, path);
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Defines a sale with these terms and opens it. Waits until this gateway accepts orders.
    pub async fn open_sale(&self, sale: &str, terms: Value) {
        // After a 503 on a busy machine the outcome is unknown; the retry then responds 200 instead of 201.
        let steps = [(Method::PUT, "", Some(&terms)), (Method::POST, "/open", None)];
        for (method, action, body) in steps {
            let path = format!("/admin/v1/sales/{sale}{action}");
            let response = crate::eventually(&format!("{method} {path} gets a response"), async || {
                let answer = self.admin(method.clone(), &path, body).await;
                (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
            })
            .await;
            assert!(response.status.is_success(), "{response:?}");
        }
        self.until_sale(sale, "open", true).await;
    }

    /// Waits until this gateway returns a sale in this state.
    pub async fn until_sale(&self, sale: &str, state: &str, ready: bool) {
        crate::until(&format!("{sale} is {state}, ready: {ready}"), async || {
            let response = self.get("anyone", &format!("/v1/sales/{sale}")).await.body;
            response["state"] == state && response["ready"] == ready
        })
        .await;
    }

    /// Waits until an order is settled, and returns it.
    pub async fn until_settled(&self, sale: &str, customer: &str, order: &str) -> Value {
        crate::eventually(&format!("{order} is settled"), async || {
            let response = self.get(customer, &format!("/v1/sales/{sale}/orders/{order}")).await;
            (response.status == StatusCode::OK && response.body["status"] != "processing")
                .then_some(response.body)
        })
        .await
    }
}

/// Returns terms with these items (SKU, price, total; `None` for unlimited) and one order per customer.
pub fn terms(items: &[(&str, u64, Option<u64>)]) -> Value {
    let items: Vec<_> = items
        .iter()
        .map(|(sku, price, total)| json!({"sku": sku, "name": sku, "price": price, "total": total}))
        .collect();
    json!({"title": "A test", "currency": "KRW", "max_orders_per_customer": 1, "hold_seconds": 3600, "items": items})
}

/// Returns the body of an order with these lines (SKU and quantity).
pub fn order_body(lines: &[(&str, u32)]) -> Value {
    let items: Vec<_> =
        lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    json!({"items": items})
}

//! Calls to the card provider, each with a time limit and behind a circuit breaker. A response is a fact; a missing
//! response says nothing about the payment.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use process::health::Health;
use recloser::{AsyncRecloser, Recloser};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::payment::Payment;
use crate::provider::protocol::{Charge, PaymentView, RefundRequest, RefundView};
use crate::tls::{TlsError, TrustStore, cause_chain};

/// The name of the provider in health checks and metrics.
pub const PROVIDER: &str = "provider";
/// The number of calls over which the circuit breaker computes the failure rate.
const CLOSED_CALLS: usize = 20;
/// The failure rate that opens the circuit. A payment whose request never gets a response has one failed and one
/// successful call: such payments alone do not open it.
const FAILURE_RATE: f32 = 0.6;
/// The time after which an open circuit admits trial calls.
const OPEN_WAIT: Duration = Duration::from_secs(2);
/// The number of trial calls that decide whether the circuit closes.
const HALF_OPEN_CALLS: usize = 3;
/// The time limit for opening a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The reason why a call returns no payment or refund.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call was not made, because too many recent calls failed.
    #[error("the circuit to the provider is open")]
    CircuitOpen,
    /// The provider did not respond. It may have executed the request.
    #[error("the provider did not respond: {0}")]
    NoResponse(String),
    /// The provider refused the request.
    #[error("the provider refused: {status} {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The provider's error code.
        code: String,
    },
}

impl CallError {
    /// Returns whether the provider does not know the payment.
    pub fn is_unknown_payment(&self) -> bool {
        matches!(self, Self::Refused { status: 404, code } if code == "unknown_payment")
    }
}

/// The client of the provider. Clones share the circuit breaker.
#[derive(Clone)]
pub struct ProviderClient {
    http: reqwest::Client,
    url: String,
    callback_url: Option<String>,
    breaker: AsyncRecloser,
    /// The error of the last call without a response.
    last_error: Arc<Mutex<String>>,
    health: Health,
}

impl ProviderClient {
    /// Creates a client of the provider at this URL. `timeout` limits one call; the provider sends its callbacks to
    /// `callback_url`.
    pub fn new(
        url: &str,
        callback_url: Option<String>,
        timeout: Duration,
        trust: &TrustStore,
        health: Health,
    ) -> Result<Self, TlsError> {
        health.declare(PROVIDER, false); // payments wait for it
        let http = trust.http_client(timeout)?.connect_timeout(CONNECT_MAX).build()?;
        let breaker = Recloser::custom()
            .error_rate(FAILURE_RATE)
            .closed_len(CLOSED_CALLS)
            .half_open_len(HALF_OPEN_CALLS)
            .open_wait(OPEN_WAIT)
            .build();
        let url = url.trim_end_matches('/').to_string();
        Ok(Self { http, url, callback_url, breaker: breaker.into(), last_error: Arc::default(), health })
    }

    /// Charges a card. The call is idempotent: repeated calls charge once.
    pub async fn charge(&self, payment: &Payment) -> Result<PaymentView, CallError> {
        let request = self.request(Method::POST, "/v1/payments").json(&self.charge_request(payment));
        self.call(request.header("idempotency-key", payment.payment_id.to_string())).await
    }

    /// Returns a payment in its present state.
    pub async fn get_payment(&self, payment_id: Uuid) -> Result<PaymentView, CallError> {
        self.call(self.request(Method::GET, &format!("/v1/payments/{payment_id}"))).await
    }

    /// Voids a payment: it fails, unless it was decided before.
    pub async fn void(&self, payment: &Payment) -> Result<PaymentView, CallError> {
        let path = format!("/v1/payments/{}/cancel", payment.payment_id);
        self.call(self.request(Method::POST, &path).json(&self.charge_request(payment))).await
    }

    /// Refunds a payment in full. The call is idempotent: repeated calls refund once.
    pub async fn refund(&self, payment: &Payment) -> Result<RefundView, CallError> {
        let id = payment.payment_id;
        let request = self.request(Method::POST, &format!("/v1/payments/{id}/refunds"));
        let request = request.header("idempotency-key", format!("refund-{id}"));
        self.call(request.json(&RefundRequest { amount: payment.amount })).await
    }

    /// Probes the provider with a query for a payment that does not exist. The health check has the result.
    pub async fn probe(&self) {
        let _: Result<PaymentView, _> = self.get_payment(Uuid::nil()).await;
    }

    fn charge_request(&self, payment: &Payment) -> Charge {
        Charge {
            payment_id: payment.payment_id,
            order_id: payment.order_id,
            sale_id: payment.sale_id.clone(),
            amount: payment.amount,
            currency: payment.currency,
            token: payment.token.clone(),
            callback_url: self.callback_url.clone(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        // A refusal is a response: only missing responses open the circuit.
        let is_failure = |error: &CallError| matches!(error, CallError::NoResponse(_));
        let result = match self.breaker.call_with(is_failure, send(request)).await {
            Ok(response) => Ok(response),
            Err(recloser::Error::Inner(error)) => Err(error),
            Err(recloser::Error::Rejected) => Err(CallError::CircuitOpen),
        };
        match &result {
            Ok(_) | Err(CallError::Refused { .. }) => self.health.mark_up(PROVIDER),
            Err(open @ CallError::CircuitOpen) => {
                let last_error = self.last_error.lock();
                self.health.mark_down(PROVIDER, format!("{open}, because {last_error}"));
            }
            // One failed call does not mark the provider as down: the circuit breaker does.
            Err(error @ CallError::NoResponse(_)) => {
                *self.last_error.lock() = error.to_string();
            }
        }
        result
    }
}

async fn send<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, CallError> {
    let no_response = |error| CallError::NoResponse(cause_chain(error));
    let response = request.send().await.map_err(no_response)?;
    let status = response.status();
    let body = response.bytes().await.map_err(no_response)?;
    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let code = problem["code"].as_str().unwrap_or_default().to_string();
        return Err(CallError::Refused { status: status.as_u16(), code });
    }
    if !status.is_success() {
        return Err(CallError::NoResponse(status.to_string()));
    }
    serde_json::from_slice(&body).map_err(|error| CallError::NoResponse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};

    use hyper::body::Incoming;
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::host::respond;

    /// A 503 counts as a missing response, a 404 as a response.
    #[tokio::test]
    async fn a_provider_that_does_not_respond_is_not_called_until_it_responds_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (status, requests) = (Arc::new(AtomicU16::new(503)), Arc::new(AtomicUsize::new(0)));
        let (responses, count) = (status.clone(), requests.clone());
        let handler = move |_: hyper::Request<Incoming>| {
            count.fetch_add(1, SeqCst);
            let status = StatusCode::from_u16(responses.load(SeqCst)).unwrap();
            async move { respond(status, &json!({ "code": "unknown_payment" })) }
        };
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        tokio::spawn(process::http::serve(listener, 16, handler, stop));
        let timeout = Duration::from_secs(5);
        let provider =
            ProviderClient::new(&url, None, timeout, &TrustStore::default(), Health::default()).unwrap();
        let call = async || provider.get_payment(Uuid::nil()).await.unwrap_err();

        while call().await != CallError::CircuitOpen {
            assert!(requests.load(SeqCst) <= CLOSED_CALLS + 1, "the circuit must open");
        }
        let before = requests.load(SeqCst);
        for _ in 0..100 {
            assert_eq!(call().await, CallError::CircuitOpen);
        }
        assert_eq!(requests.load(SeqCst), before, "an open circuit lets no call through");

        status.store(404, SeqCst);
        let recovered = async {
            while call().await == CallError::CircuitOpen {
                tokio::time::sleep(OPEN_WAIT / 20).await;
            }
        };
        tokio::time::timeout(4 * OPEN_WAIT, recovered).await.expect("a trial call is let through");
        for _ in 0..2 * CLOSED_CALLS {
            assert!(call().await.is_unknown_payment(), "all calls are let through again");
        }
    }
}

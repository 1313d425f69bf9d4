//! Calls to the card provider: with a time limit each, and behind a circuit breaker. An answer is a fact; no
//! answer is none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use process::health::Health;
use recloser::{AsyncRecloser, Recloser};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::payment::Payment;
use crate::provider::ledger::{Charge, PaymentView, RefundView};
use crate::tls::{TlsError, TrustStore, why};

/// The name in health and metrics.
pub const PROVIDER: &str = "provider";
/// The circuit opens when of so many calls …
const CLOSED_CALLS: usize = 20;
/// … this part had no answer. A payment whose request is never answered has one call without an answer and
/// one with: those alone do not open it.
const FAILED_PART: f32 = 0.6;
/// It is tried again after this …
const OPEN_WAIT: Duration = Duration::from_secs(2);
/// … by so many calls.
const HALF_OPEN_CALLS: usize = 3;
/// A connection that is not there by then does not come.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Why there is no payment or refund in the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Not asked: the provider has not answered lately.
    #[error("the circuit to the provider is open")]
    CircuitOpen,
    /// Asked, and not answered: it may have happened.
    #[error("the provider did not answer: {0}")]
    NoResponse(String),
    /// Answered: no.
    #[error("the provider refused: {status} {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The provider's code.
        code: String,
    },
}

impl CallError {
    /// Whether the provider says that it does not know the payment.
    pub fn is_unknown_payment(&self) -> bool {
        matches!(self, Self::Refused { status: 404, code } if code == "unknown_payment")
    }
}

/// The provider, from our side; clones share its circuit breaker.
#[derive(Clone)]
pub struct ProviderClient {
    http: reqwest::Client,
    url: String,
    callback_url: Option<String>,
    breaker: AsyncRecloser,
    /// Why there was no answer, the last time.
    last: Arc<Mutex<String>>,
    health: Health,
}

#[derive(Serialize)]
struct RefundRequest {
    amount: u64,
}

impl ProviderClient {
    /// Of the provider at this URL. `timeout`: of one call. `callback_url`: where it is to tell results.
    pub fn new(
        url: &str,
        callback_url: Option<String>,
        timeout: Duration,
        trust: &TrustStore,
        health: Health,
    ) -> Result<Self, TlsError> {
        health.declare(PROVIDER, false); // payments wait for it
        let http = trust.http(timeout)?.connect_timeout(CONNECT_MAX).build()?;
        let breaker = Recloser::custom()
            .error_rate(FAILED_PART)
            .closed_len(CLOSED_CALLS)
            .half_open_len(HALF_OPEN_CALLS)
            .open_wait(OPEN_WAIT)
            .build();
        let url = url.trim_end_matches('/').to_string();
        Ok(Self { http, url, callback_url, breaker: breaker.into(), last: Arc::default(), health })
    }

    /// Takes the money: once, however often it is called.
    pub async fn charge(&self, payment: &Payment) -> Result<PaymentView, CallError> {
        let request = self.request(Method::POST, "/v1/payments").json(&self.charge_request(payment));
        self.call(request.header("idempotency-key", payment.payment_id.to_string())).await
    }

    /// What the provider knows of a payment.
    pub async fn get_payment(&self, payment_id: Uuid) -> Result<PaymentView, CallError> {
        self.call(self.request(Method::GET, &format!("/v1/payments/{payment_id}"))).await
    }

    /// Makes sure that a payment is decided: as failed, if it was not decided before.
    pub async fn void(&self, payment: &Payment) -> Result<PaymentView, CallError> {
        let path = format!("/v1/payments/{}/cancel", payment.payment_id);
        self.call(self.request(Method::POST, &path).json(&self.charge_request(payment))).await
    }

    /// Gives the money back: once, however often it is called.
    pub async fn refund(&self, payment: &Payment) -> Result<RefundView, CallError> {
        let id = payment.payment_id;
        let request = self.request(Method::POST, &format!("/v1/payments/{id}/refunds"));
        let request = request.header("idempotency-key", format!("refund-{id}"));
        self.call(request.json(&RefundRequest { amount: payment.amount })).await
    }

    /// Whether it answers at all: by asking for a payment that nobody has.
    pub async fn probe(&self) {
        let _seen: Result<PaymentView, _> = self.get_payment(Uuid::nil()).await; // the health tells
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
        // A refusal is an answer: only silence opens the circuit.
        let silent = |no: &CallError| matches!(no, CallError::NoResponse(_));
        let result = match self.breaker.call_with(silent, answer(request)).await {
            Ok(answer) => Ok(answer),
            Err(recloser::Error::Inner(no)) => Err(no),
            Err(recloser::Error::Rejected) => Err(CallError::CircuitOpen),
        };
        match &result {
            Ok(_) | Err(CallError::Refused { .. }) => self.health.mark_up(PROVIDER),
            Err(open @ CallError::CircuitOpen) => {
                let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                self.health.mark_down(PROVIDER, format!("{open}, because {last}"));
            }
            // One call says little: the circuit tells.
            Err(no @ CallError::NoResponse(_)) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = no.to_string();
            }
        }
        result
    }
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, CallError> {
    let unanswered = |error| CallError::NoResponse(why(error));
    let answer = request.send().await.map_err(unanswered)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(unanswered)?;
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

    /// 503 is no answer, 404 is one.
    #[tokio::test]
    async fn a_provider_that_does_not_answer_is_left_alone_until_it_answers_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (status, asked) = (Arc::new(AtomicU16::new(503)), Arc::new(AtomicUsize::new(0)));
        let (answers, asks) = (status.clone(), asked.clone());
        let handler = move |_: hyper::Request<Incoming>| {
            asks.fetch_add(1, SeqCst);
            let status = StatusCode::from_u16(answers.load(SeqCst)).unwrap();
            async move { respond(status, &json!({ "code": "unknown_payment" })) }
        };
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        tokio::spawn(process::http::serve(listener, 16, handler, stop));
        let timeout = Duration::from_secs(5);
        let provider =
            ProviderClient::new(&url, None, timeout, &TrustStore::default(), Health::default()).unwrap();
        let ask = async || provider.get_payment(Uuid::nil()).await.unwrap_err();

        while ask().await != CallError::CircuitOpen {
            assert!(asked.load(SeqCst) <= CLOSED_CALLS + 1, "it is asked on and on");
        }
        let before = asked.load(SeqCst);
        for _ in 0..100 {
            assert_eq!(ask().await, CallError::CircuitOpen);
        }
        assert_eq!(asked.load(SeqCst), before, "it is left alone");

        status.store(404, SeqCst);
        let answered = async {
            while ask().await == CallError::CircuitOpen {
                tokio::time::sleep(OPEN_WAIT / 20).await;
            }
        };
        tokio::time::timeout(4 * OPEN_WAIT, answered).await.expect("it is tried again");
        for _ in 0..2 * CLOSED_CALLS {
            assert!(ask().await.is_unknown_payment(), "all calls go through again");
        }
    }
}

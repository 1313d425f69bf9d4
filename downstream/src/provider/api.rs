//! The provider's HTTP API.
//!
//! | call | response |
//! |---|---|
//! | `POST /v1/payments` (Idempotency-Key) | 201 (a repeat: 200) with the payment; 202 while it is pending |
//! | `GET /v1/payments/{id}` | 200 with the payment in its present state |
//! | `POST /v1/payments/{id}/cancel` | 200 with the payment: failed, unless it was decided before |
//! | `POST /v1/payments/{id}/refunds` (Idempotency-Key) | 201 (a repeat: 200) with the refund |
//! | `GET /v1/ledger?sale=&after=&limit=` | 200 with captured and refunded amounts of each payment |
//!
//! A refusal is `{"code","detail"}` with a status of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use contract::ids::{IdempotencyKey, SaleId};
use contract::money::AMOUNT_MAX;
use contract::wire;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ledger::Refusal;
use super::protocol::{Charge, ChargeStatus, RefundRequest};
use super::service::{ChargeOutcome, Provider, ProviderError};

/// The greatest size of a body in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// The time limit for receiving a body.
const BODY_MAX: Duration = Duration::from_secs(10);
/// The time that a request without a response is kept open.
const NO_RESPONSE_MAX: Duration = Duration::from_secs(60);
/// The greatest number of entries in a page of the ledger.
const LEDGER_ENTRIES_MAX: usize = 10_000;

type HttpResponse = Response<Full<Bytes>>;

/// The HTTP API and its settings.
pub struct Api {
    /// The service behind the API.
    pub provider: Provider,
    /// The minimum latency of a request, in milliseconds.
    pub latency_ms: u64,
    /// The maximum additional latency, evenly distributed, in milliseconds.
    pub latency_spread_ms: u64,
    /// Ends requests that get no response.
    pub stop: CancellationToken,
}

/// A refusal: its status, code and detail.
struct Problem(StatusCode, &'static str, String);

impl Api {
    /// Responds to a request, unless it gets no response. The work continues when the client disconnects.
    pub async fn respond(self: Arc<Self>, request: Request<Incoming>) -> HttpResponse {
        let stop = self.stop.clone();
        let no_response = async {
            let _ = tokio::time::timeout(NO_RESPONSE_MAX, stop.cancelled()).await;
            let detail = "the bank did not respond".into();
            Problem(StatusCode::GATEWAY_TIMEOUT, "no_answer", detail).response()
        };
        match tokio::spawn(self.handle(request)).await {
            Ok(Ok(Some(response))) => response,
            Ok(Ok(None)) => no_response.await,
            Ok(Err(problem)) => problem.response(),
            Err(error) => {
                tracing::error!(%error, "the task of a request panicked");
                let detail = "an internal error occurred".into();
                Problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail).response()
            }
        }
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Option<HttpResponse>, Problem> {
        let (head, body) = request.into_parts();
        let path: Vec<_> = head.uri.path().split('/').skip(1).collect();
        let (post, get) = (head.method == Method::POST, head.method == Method::GET);
        match path[..] {
            ["v1", "payments"] if post => self.charge(&head.headers, body).await,
            ["v1", "payments", id] if get => {
                let id = parse_payment_id(id)?;
                self.simulate_latency(id).await;
                Ok(Some(json_response(StatusCode::OK, &self.provider.payment(id).await?)))
            }
            ["v1", "payments", id, "cancel"] if post => {
                let id = parse_payment_id(id)?;
                let charge: Charge = read(body).await?;
                if charge.payment_id != id {
                    return Err(Problem::malformed("payment_id differs from that of the path"));
                }
                self.simulate_latency(id).await;
                Ok(Some(json_response(StatusCode::OK, &self.provider.cancel(charge).await?)))
            }
            ["v1", "payments", id, "refunds"] if post => {
                let (id, key) = (parse_payment_id(id)?, parse_key(&head.headers)?);
                let RefundRequest { amount } = read(body).await?;
                check_bounds(amount)?;
                self.simulate_latency(id).await;
                let (refund, created) = self.provider.refund(id, key.as_str(), amount).await?;
                let status = if created { StatusCode::CREATED } else { StatusCode::OK };
                Ok(Some(json_response(status, &refund)))
            }
            ["v1", "ledger"] if get => self.ledger(head.uri.query().unwrap_or_default()).await.map(Some),
            ["v1", "payments", ..] | ["v1", "ledger"] => Err(Problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "the path does not support this method".into(),
            )),
            _ => Err(Problem(StatusCode::NOT_FOUND, "not_found", "the path does not exist".into())),
        }
    }

    async fn charge(&self, headers: &HeaderMap, body: Incoming) -> Result<Option<HttpResponse>, Problem> {
        let key = parse_key(headers)?;
        let charge: Charge = read(body).await?;
        check_bounds(charge.amount)?;
        self.simulate_latency(charge.payment_id).await;
        let outcome = self.provider.charge(key.as_str(), charge).await?;
        let ChargeOutcome::Response { view, created } = outcome else { return Ok(None) };
        let status = match (view.status, created) {
            (ChargeStatus::Pending, _) => StatusCode::ACCEPTED,
            (_, true) => StatusCode::CREATED,
            (_, false) => StatusCode::OK,
        };
        Ok(Some(json_response(status, &view)))
    }

    async fn ledger(&self, query: &str) -> Result<HttpResponse, Problem> {
        let (mut sale, mut after, mut limit) = (None, 0, 1000);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let number = || value.parse::<usize>().map_err(|_| Problem::malformed(format!("{name}={value}")));
            match name {
                "sale" => sale = Some(SaleId::parse(value).map_err(|e| Problem::malformed(e.to_string()))?),
                "after" => after = number()?,
                "limit" => limit = number()?.clamp(1, LEDGER_ENTRIES_MAX),
                _ => return Err(Problem::malformed(format!("unknown parameter {name}"))),
            }
        }
        let (entries, next) = self.provider.ledger_page(sale, after, limit).await?;
        Ok(json_response(StatusCode::OK, &json!({"entries": entries, "next": next})))
    }

    /// Waits for as long as a bank takes.
    async fn simulate_latency(&self, id: Uuid) {
        // The random digits at the end of an id spread the latency without a random generator.
        let spread = id.as_u128() as u64 % (self.latency_spread_ms + 1);
        tokio::time::sleep(Duration::from_millis(self.latency_ms + spread)).await;
    }
}

fn parse_key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(text), None) => {
            IdempotencyKey::parse(text).map_err(|_| Problem::malformed("Idempotency-Key is invalid"))
        }
        _ => Err(Problem::malformed("Idempotency-Key must be given exactly once")),
    }
}

fn parse_payment_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Refusal::UnknownPayment.into())
}

fn check_bounds(amount: u64) -> Result<(), Problem> {
    if amount <= AMOUNT_MAX { Ok(()) } else { Err(Problem::malformed("amount is too large")) }
}

async fn read<T: for<'de> Deserialize<'de>>(mut body: Incoming) -> Result<T, Problem> {
    let whole = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::malformed("the body is incomplete"))?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > BODY_BYTES_MAX {
                let detail = "the body is too large".into();
                return Err(Problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    };
    let late = |_| Problem::malformed("the body did not arrive in time");
    let whole = tokio::time::timeout(BODY_MAX, whole).await.map_err(late)??;
    serde_json::from_slice(&whole).map_err(|error| Problem::malformed(error.to_string()))
}

fn json_response(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    let body = wire::encode(body);
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Problem {
    fn malformed(detail: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, "malformed_request", detail.into())
    }
    fn response(&self) -> HttpResponse {
        json_response(self.0, &json!({"code": self.1, "detail": self.2}))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Refusal::PaymentExists => (StatusCode::CONFLICT, "payment_exists"),
            Refusal::UnknownPayment => (StatusCode::NOT_FOUND, "unknown_payment"),
            Refusal::NotCaptured => (StatusCode::CONFLICT, "not_captured"),
            Refusal::AmountTooLarge => (StatusCode::UNPROCESSABLE_ENTITY, "amount_too_large"),
        };
        Self(status, code, refusal.to_string())
    }
}

impl From<ProviderError> for Problem {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Refused(refusal) => refusal.into(),
            ProviderError::Journal(error) => {
                Self(StatusCode::SERVICE_UNAVAILABLE, "journal_unavailable", error.to_string())
            }
        }
    }
}

//! The provider's HTTP API.
//!
//! | call | answer |
//! |---|---|
//! | `POST /v1/payments` (Idempotency-Key) | 201 (200 again) with the payment; 202 while it is pending |
//! | `GET /v1/payments/{id}` | 200 with the payment as it stands |
//! | `POST /v1/payments/{id}/cancel` | 200 with the payment: failed if it was not decided before |
//! | `POST /v1/payments/{id}/refunds` (Idempotency-Key) | 201 (200 again) with the refund |
//! | `GET /v1/ledger?sale=&after=&limit=` | 200 with captured and refunded amounts of each payment |
//!
//! A refusal is `{"code","detail"}` with a status of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use contract::ids::{IdempotencyKey, SaleId};
use contract::money::AMOUNT_MAX;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ledger::{Charge, ChargeStatus, Refusal};
use super::service::{ChargeOutcome, Provider, ProviderError};

/// Longest body in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// A body must have arrived by then.
const BODY_MAX: Duration = Duration::from_secs(10);
/// How long a request without an answer is kept waiting.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Entries of one page of the ledger.
const LEDGER_ENTRIES_MAX: usize = 10_000;

type Answer = Response<Full<Bytes>>;

/// What a request needs.
pub struct Api {
    /// Who answers.
    pub provider: Provider,
    /// What each request takes at least, in milliseconds …
    pub latency_ms: u64,
    /// … and by how much more, spread evenly.
    pub latency_spread_ms: u64,
    /// Ends the silence.
    pub stop: CancellationToken,
}

/// A refusal.
struct Problem(StatusCode, &'static str, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundRequest {
    amount: u64,
}

impl Api {
    /// Answers a request, if it is to be answered. The work goes on when the client does not wait for it.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let stop = self.stop.clone();
        let silence = async {
            let _ = tokio::time::timeout(STALL_MAX, stop.cancelled()).await;
            Problem(StatusCode::GATEWAY_TIMEOUT, "no_answer", "the bank did not answer".into()).answer()
        };
        match tokio::spawn(self.handle(request)).await {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => silence.await,
            Ok(Err(problem)) => problem.answer(),
            Err(error) => {
                tracing::error!(%error, "a request's work ended early");
                Problem(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "a fault of ours".into())
                    .answer()
            }
        }
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Option<Answer>, Problem> {
        let (head, body) = request.into_parts();
        let path: Vec<_> = head.uri.path().split('/').skip(1).collect();
        let (post, get) = (head.method == Method::POST, head.method == Method::GET);
        match path[..] {
            ["v1", "payments"] if post => {
                let key = key(&head.headers)?;
                let charge: Charge = read(body).await?;
                within_bounds(charge.amount)?;
                self.take_time(charge.payment_id).await;
                Ok(match self.provider.charge(key.as_str(), charge).await? {
                    ChargeOutcome::NoResponse => None,
                    ChargeOutcome::Response { view, created } => Some(json_of(
                        match (view.status, created) {
                            (ChargeStatus::Pending, _) => StatusCode::ACCEPTED,
                            (_, true) => StatusCode::CREATED,
                            (_, false) => StatusCode::OK,
                        },
                        &view,
                    )),
                })
            }
            ["v1", "payments", id] if get => {
                let id = payment_id(id)?;
                self.take_time(id).await;
                Ok(Some(json_of(StatusCode::OK, &self.provider.payment(id).await?)))
            }
            ["v1", "payments", id, "cancel"] if post => {
                let id = payment_id(id)?;
                let charge: Charge = read(body).await?;
                if charge.payment_id != id {
                    return Err(Problem::malformed("payment_id is not that of the path"));
                }
                self.take_time(id).await;
                Ok(Some(json_of(StatusCode::OK, &self.provider.cancel(charge).await?)))
            }
            ["v1", "payments", id, "refunds"] if post => {
                let (id, key) = (payment_id(id)?, key(&head.headers)?);
                let RefundRequest { amount } = read(body).await?;
                within_bounds(amount)?;
                self.take_time(id).await;
                let (refund, created) = self.provider.refund(id, key.as_str(), amount).await?;
                Ok(Some(json_of(if created { StatusCode::CREATED } else { StatusCode::OK }, &refund)))
            }
            ["v1", "ledger"] if get => self.ledger(head.uri.query().unwrap_or_default()).await.map(Some),
            ["v1", "payments", ..] | ["v1", "ledger"] => Err(Problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "not by this method".into(),
            )),
            _ => Err(Problem(StatusCode::NOT_FOUND, "not_found", "there is nothing here".into())),
        }
    }

    async fn ledger(&self, query: &str) -> Result<Answer, Problem> {
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
        let (entries, next) = self.provider.ledger(sale, after, limit).await?;
        Ok(json_of(StatusCode::OK, &json!({"entries": entries, "next": next})))
    }

    /// As long as a bank takes.
    async fn take_time(&self, id: Uuid) {
        // Ids end in random digits: they spread the time without a generator of our own.
        let spread = id.as_u128() as u64 % (self.latency_spread_ms + 1);
        tokio::time::sleep(Duration::from_millis(self.latency_ms + spread)).await;
    }
}

fn key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(text), None) => IdempotencyKey::parse(text).map_err(|_| Problem::malformed("Idempotency-Key")),
        _ => Err(Problem::malformed("Idempotency-Key must be given, once")),
    }
}

fn payment_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Refusal::UnknownPayment.into())
}

fn within_bounds(amount: u64) -> Result<(), Problem> {
    if amount <= AMOUNT_MAX { Ok(()) } else { Err(Problem::malformed("amount is too large")) }
}

async fn read<T: for<'de> Deserialize<'de>>(mut body: Incoming) -> Result<T, Problem> {
    let whole = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::malformed("the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > BODY_BYTES_MAX {
                return Err(Problem(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_large",
                    "the body is too large".into(),
                ));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    };
    let late = |_| Problem::malformed("the body did not arrive in time");
    let whole = tokio::time::timeout(BODY_MAX, whole).await.map_err(late)??;
    serde_json::from_slice(&whole).map_err(|error| Problem::malformed(error.to_string()))
}

fn json_of(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).unwrap_or_default(); // names and numbers always serialize
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

impl Problem {
    fn malformed(detail: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, "malformed_request", detail.into())
    }
    fn answer(&self) -> Answer {
        json_of(self.0, &json!({"code": self.1, "detail": self.2}))
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
    fn from(failure: ProviderError) -> Self {
        match failure {
            ProviderError::Refused(refusal) => refusal.into(),
            ProviderError::Journal(error) => {
                Self(StatusCode::SERVICE_UNAVAILABLE, "journal_unavailable", error.to_string())
            }
        }
    }
}

//! Placing an order: the steps in their order, from the request to the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use contract::ids::{CustomerId, IdempotencyKey, OrderId, RequestDigest, RequestFingerprint, SaleId};
use contract::lifecycle::{Language, OrderStatus};
use contract::money::Currency;
use contract::order::{Amounts, Order, OrderRequest, PricedRequest};
use contract::problem::Code;
use contract::timestamp::Timestamp;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use lua::reserve::Candidate;
use metrics::counter;
use process::walltime;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::http::authenticate;
use crate::http::authenticate::Customer;
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::problem::encoded_problem;
use crate::http::request_body;
use crate::http::response::Response;
use crate::metrics::outcome;
use crate::order::backpressure;
use crate::order::reserve::{Job, Outcome};
use crate::sales::sale_view::SaleView;
use crate::state::Gateway;

/// What a customer may expect between the 202 and settlement: a constant, so that replays are identical.
const ESTIMATED_PROCESSING_MS: u64 = 500;

/// An order that the log has. The same again for a repeated request, apart from the language of `message`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AcceptedOrder")]
pub(crate) struct AcceptedBody<'a> {
    order_id: OrderId,
    #[schemars(with = "SaleId")]
    sale_id: &'a str,
    /// Always `processing`.
    status: OrderStatus,
    /// Its place among the sale's accepted orders: 1, 2, 3, … without a gap.
    sequence: u64,
    /// A sentence for the customer.
    message: &'static str,
    /// Sum of the lines, in the minor unit.
    subtotal: u64,
    /// In the minor unit.
    discount: u64,
    /// In the minor unit.
    delivery_fee: u64,
    /// What the customer pays, in the minor unit.
    total: u64,
    currency: Currency,
    /// Until when the units are held for the order unless it is paid.
    hold_expires_at: Timestamp,
    /// How long it usually takes until the order is settled, in milliseconds.
    estimated_processing_ms: u64,
    /// The path of the order's status.
    status_url: String,
    /// The path of the order's live updates, as Server-Sent Events.
    events_url: String,
    /// The path of the order's live updates, as a WebSocket.
    websocket_url: String,
}

/// Handles `POST /v1/sales/{sale}/orders`. Returns the outcome for metrics beside the answer.
pub async fn place(
    gateway: &Gateway,
    sale: &str,
    head: &Parts,
    body: hyper::body::Incoming,
    language: Language,
) -> (Response, &'static str) {
    let _placing = gateway.placing.clone();
    match place_or_refuse(gateway, sale, head, body, language).await {
        Ok(answer) => answer,
        Err(problem) => (problem.response(language), problem.code.as_str()),
    }
}

async fn place_or_refuse(
    gateway: &Gateway,
    sale: &str,
    head: &Parts,
    body: hyper::body::Incoming,
    language: Language,
) -> Result<(Response, &'static str), Problem> {
    let since = Instant::now();
    let Customer { id: customer, email } = authenticate::buyer(&head.headers)?;
    let view = gateway.leases.load().sale(sale).cloned().ok_or(Code::UnknownSale)?;
    let body = request_body::body(&head.headers, body, request_body::BODY_BYTES_MAX).await?;
    let key = request_body::idempotency_key(&head.headers)?;
    let request: OrderRequest = request_body::json(&body)?;
    let terms = &view.publication.terms;
    let priced = request_body::price(&request, terms)?;

    if !view.publication.ready {
        return Err(Code::SaleRebuilding.into());
    }
    let sale_id = &view.publication.sale_id;
    let sale_queue = gateway.sale_queues.get(sale_id).ok_or(Code::SaleRebuilding)?;
    sale_queue.watch.asked();
    {
        let lease = gateway.leases.load();
        if !lease.is_valid() {
            return Err(shed(Code::LogUnavailable, Code::LogUnavailable.as_str()));
        }
        if backpressure::too_far_behind(&lease, view.publication.partition, gateway.lag_max) {
            return Err(shed(Code::Overloaded, "settlement_behind"));
        }
        if let Some(sku) =
            sale_queue.watch.sold_out(&lease, &view, &customer, &priced.lines, gateway.redis.now_ms())
        {
            return Ok((gateway.sold_out.answer(&sku, language), Code::SoldOut.as_str()));
        }
    }

    let order = Arc::new(Order { email, ..new_order(&view, customer, key, request.digest(), &priced) });
    // A struct of names and integers always serializes.
    let payload = serde_json::to_vec(&*order).unwrap_or_default().into();
    let (answer, answered) = oneshot::channel();
    let job = Job {
        candidate: Candidate::new(&order, payload, view.limited()),
        order: order.clone(),
        view: view.clone(),
        since,
        repeating_since: None,
        answer,
    };
    sale_queue.queue.try_send(job).map_err(|_| shed(Code::Overloaded, Code::Overloaded.as_str()))?;
    // The batcher answers every job; one that it dropped was never taken to the script.
    let outcome = answered.await.unwrap_or(Outcome::Refused(Code::Overloaded));
    respond(&view, &order, outcome, priced.amounts, language)
}

/// A refusal for want of room, counted.
fn shed(code: Code, reason: &'static str) -> Problem {
    counter!("gateway_shed_total", "reason" => reason).increment(1);
    code.into()
}

fn new_order(
    view: &SaleView,
    customer: CustomerId,
    key: IdempotencyKey,
    digest: RequestDigest,
    priced: &PricedRequest,
) -> Order {
    /// Tells apart two ids of one request in one millisecond.
    static COUNTER: AtomicU16 = AtomicU16::new(0);
    let now = walltime::now().0;
    let request = RequestFingerprint::compute(&view.publication.sale_id, &customer, &key);
    Order {
        id: OrderId::new(now, COUNTER.fetch_add(1, Ordering::Relaxed), request),
        customer,
        email: None,
        key,
        digest,
        lines: priced.lines.clone(),
        policy: priced.policy.clone(),
        discount: priced.amounts.discount,
        delivery_fee: priced.amounts.delivery_fee,
        hold_seconds: view.publication.terms.hold_seconds,
        fulfilment: priced.fulfilment,
        address: priced.address.clone(),
        payment: priced.payment.clone(),
    }
}

fn respond(
    view: &SaleView,
    order: &Order,
    outcome: Outcome,
    amounts: Amounts,
    language: Language,
) -> Result<(Response, &'static str), Problem> {
    Err(match outcome {
        Outcome::Accepted { sequence, at } => {
            let expires = at.plus_seconds(order.hold_seconds.into());
            let answer = accepted(view, order.id, sequence.0, amounts, expires, language);
            return Ok((answer, outcome::ACCEPTED));
        }
        Outcome::Replayed(first) => {
            let expires = first.hold_expires_at();
            let mut answer = accepted(view, first.id, first.sequence.0, first.amounts, expires, language);
            answer.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            return Ok((answer, outcome::REPLAYED));
        }
        Outcome::Duplicate(order) => Problem::from(Code::DuplicateOrder).with("order_id", order.to_string()),
        Outcome::SoldOut { sku, remaining } => {
            Problem::from(Code::SoldOut).with("sku", sku.as_str()).with("remaining", remaining)
        }
        Outcome::Refused(Code::SaleNotOpen) => {
            let opens_at = view.publication.terms.opens_at.map(|at| at.to_string());
            Problem::from(Code::SaleNotOpen).with("opens_at", opens_at)
        }
        Outcome::Refused(code) => code.into(),
    })
}

fn accepted(
    view: &SaleView,
    order_id: OrderId,
    sequence: u64,
    amounts: Amounts,
    hold_expires_at: Timestamp,
    language: Language,
) -> Response {
    let sale_id = view.publication.sale_id.as_str();
    let url = |what: &str| format!("/v1/sales/{sale_id}/orders/{order_id}/{what}");
    let body = AcceptedBody {
        order_id,
        sale_id,
        status: OrderStatus::Processing,
        sequence,
        message: OrderStatus::Processing.description(language),
        subtotal: amounts.subtotal,
        discount: amounts.discount,
        delivery_fee: amounts.delivery_fee,
        total: amounts.total(),
        currency: view.publication.terms.currency,
        hold_expires_at,
        estimated_processing_ms: ESTIMATED_PROCESSING_MS,
        status_url: url("status"),
        events_url: url("events"),
        websocket_url: url("ws"),
    };
    json(StatusCode::ACCEPTED, &body)
}

/// Sold-out answers, kept: in a burst they are most of what is said.
#[derive(Default)]
pub struct SoldOutAnswers {
    bodies: std::sync::RwLock<std::collections::HashMap<(contract::ids::Sku, bool), bytes::Bytes>>,
}

impl SoldOutAnswers {
    /// The answer for a SKU of which nothing is left.
    pub fn answer(&self, sku: &contract::ids::Sku, language: Language) -> Response {
        let key = (sku.clone(), language == Language::Korean);
        let known = self.bodies.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).cloned();
        let body = known.unwrap_or_else(|| {
            let problem = Problem::from(Code::SoldOut).with("sku", sku.as_str()).with("remaining", 0);
            let mut bodies = self.bodies.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            bodies.entry(key).or_insert_with(|| problem.body(language)).clone()
        });
        encoded_problem(Code::SoldOut, body)
    }
}

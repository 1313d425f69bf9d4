//! `POST /v1/sales/{sale}/orders`: the steps of an order, from the request to the response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use contract::ids::{CustomerId, IdempotencyKey, OrderId, RequestDigest, RequestFingerprint};
use contract::lifecycle::Language;
use contract::order::{Amounts, Order, OrderRequest, PricedRequest};
use contract::order_receipt::OrderReceipt;
use contract::problem::Code;
use contract::wire;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use lua::reserve::Candidate;
use process::walltime;
use tokio::sync::{Semaphore, oneshot};

use crate::http::authenticate::{self, Customer};
use crate::http::problem::Problem;
use crate::http::request_body;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::metrics::outcome;
use crate::order::accepted_response::{AcceptedOrder, accepted};
use crate::order::backpressure;
use crate::order::first_answer::{self, RequestIdentity};
use crate::order::in_flight::InFlight;
use crate::order::job::{Job, Outcome};
use crate::order::price::price;
use crate::order::sale_queue::{SaleQueue, SaleQueues};
use crate::order::sold_out_responses::SoldOutResponses;
use crate::read::order_lookup::OrderLookup;
use crate::sales::sale_view::SaleView;

/// The name of the endpoint, in metrics and in the API's documents.
pub const ENDPOINT: &str = "place_order";

/// How often a request is judged again, because the terms change while it waits.
const TERMS_MAX: usize = 3;

/// What placing an order needs.
#[derive(Clone, Copy)]
pub struct OrderPath<'a> {
    /// The sales, until when they may be acted on, and the orders that exist.
    pub orders: OrderLookup<'a>,
    /// The sales' queues and stock caches.
    pub queues: &'a SaleQueues,
    /// The permits to search for a first answer, which costs Redis a call that is not batched.
    pub first_answers: &'a Semaphore,
    /// The lag of settlement beyond which new orders are refused.
    pub lag_max: Duration,
    /// The cached refusals.
    pub sold_out: &'a SoldOutResponses,
    /// Counts the requests that are being processed.
    pub in_flight: &'a InFlight,
}

/// Places an order. Returns the outcome for metrics beside the response.
pub async fn place(
    path: OrderPath<'_>,
    context: RequestContext<'_>,
    sale: &str,
    body: Incoming,
) -> (Response, &'static str) {
    let _in_flight = path.in_flight.enter();
    match try_place(path, context, sale, body).await {
        Ok(placed) => placed,
        Err(problem) => (problem.response(context.language), problem.code.as_str()),
    }
}

async fn try_place(
    path: OrderPath<'_>,
    context: RequestContext<'_>,
    sale: &str,
    body: Incoming,
) -> Result<(Response, &'static str), Problem> {
    let received = Instant::now();
    let headers = &context.head.headers;
    let customer = authenticate::buyer(headers)?;
    path.orders.leases.find(sale)?; // an unknown sale is refused before the body is read
    let body = request_body::read_json(headers, body, request_body::BYTES_MAX).await?;
    let key = request_body::idempotency_key(headers)?;
    let request: OrderRequest = request_body::parse(&body)?;
    let buyer = Buyer { customer: &customer, key: &key, request: &request, digest: request.digest() };
    for _ in 0..TERMS_MAX {
        let view = path.orders.leases.find(sale)?;
        if let Some(placed) = place_under(path, context, received, &view, buyer).await? {
            return Ok(placed);
        }
    }
    Err(shed(Code::Overloaded, Code::Overloaded.as_str()))
}

/// A request that has been read.
#[derive(Clone, Copy)]
struct Buyer<'a> {
    customer: &'a Customer,
    key: &'a IdempotencyKey,
    request: &'a OrderRequest,
    digest: RequestDigest,
}

/// Places an order under the sale's present terms. Returns `None` if they have changed before the script was called.
async fn place_under(
    path: OrderPath<'_>,
    context: RequestContext<'_>,
    received: Instant,
    view: &Arc<SaleView>,
    buyer: Buyer<'_>,
) -> Result<Option<(Response, &'static str)>, Problem> {
    let Buyer { customer: Customer { id: customer, email }, key, request, digest } = buyer;
    let priced = match price(request, &view.publication.terms) {
        Ok(priced) => priced,
        Err(refusal) if refusal.depends_on_terms() => {
            let request = RequestIdentity { customer, key, digest };
            let busy = |_| shed(Code::Overloaded, Code::Overloaded.as_str());
            let _permit = path.first_answers.try_acquire().map_err(busy)?;
            let first = first_answer::find(path.orders, view, request, refusal.into()).await?;
            return Ok(Some(replayed(view, &first, context.language)));
        }
        Err(refusal) => return Err(refusal.into()),
    };

    if !view.publication.ready {
        return Err(Code::SaleRebuilding.into());
    }
    let queue = path.queues.get(&view.publication.sale_id).ok_or(Code::SaleRebuilding)?;
    queue.stock.note_request();
    if let Some(response) = refuse_early(path, &queue, view, customer, &priced, context.language)? {
        return Ok(Some((response, Code::SoldOut.as_str())));
    }

    let order = new_order(view, customer.clone(), key.clone(), digest, &priced);
    let order = Arc::new(Order { email: email.clone(), ..order });
    let payload = wire::encode(&*order);
    let (reply, decided) = oneshot::channel();
    let job = Job {
        candidate: Candidate::new(&order, payload, view.is_limited()),
        order: order.clone(),
        view: view.clone(),
        received,
        repeating_since: None,
        reply,
    };
    queue.jobs.try_send(job).map_err(|_| shed(Code::Overloaded, Code::Overloaded.as_str()))?;
    // The batcher sends every job an outcome; a job that it dropped never reached the script.
    match decided.await.unwrap_or(Outcome::Refused(Code::Overloaded)) {
        Outcome::TermsChanged => Ok(None),
        outcome => respond(view, &order, outcome, priced.amounts, context.language).map(Some),
    }
}

/// Refuses an order before it is queued, if it cannot succeed now: without a lease, while settlement is too far
/// behind, or from memory if an item is sold out.
fn refuse_early(
    path: OrderPath<'_>,
    queue: &SaleQueue,
    view: &SaleView,
    customer: &CustomerId,
    priced: &PricedRequest,
    language: Language,
) -> Result<Option<Response>, Problem> {
    let lease = path.orders.leases.load();
    if !lease.is_valid() {
        return Err(shed(Code::LogUnavailable, Code::LogUnavailable.as_str()));
    }
    if backpressure::is_too_far_behind(&lease, view.publication.partition, path.lag_max) {
        return Err(shed(Code::Overloaded, "settlement_behind"));
    }
    let sold_out = queue.stock.sold_out(&lease, view, customer, &priced.lines, path.orders.redis.now_ms());
    Ok(sold_out.map(|sku| path.sold_out.response(&sku, language)))
}

/// Returns a refusal by load shedding and counts it.
fn shed(code: Code, reason: &'static str) -> Problem {
    backpressure::SHED.with([reason]).increment(1);
    code.into()
}

fn new_order(
    view: &SaleView,
    customer: CustomerId,
    key: IdempotencyKey,
    digest: RequestDigest,
    priced: &PricedRequest,
) -> Order {
    /// Distinguishes two ids of one request in one millisecond.
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
            let hold_expires_at = at.plus_seconds(order.hold_seconds.into());
            let order = AcceptedOrder { id: order.id, sequence: sequence.0, amounts, hold_expires_at };
            return Ok((accepted(view, &order, language), outcome::ACCEPTED));
        }
        Outcome::Replayed(first) => return Ok(replayed(view, &first, language)),
        Outcome::Duplicate(order) => Problem::from(Code::DuplicateOrder).with("order_id", order.to_string()),
        Outcome::SoldOut { sku, remaining } => {
            Problem::from(Code::SoldOut).with("sku", sku.as_str()).with("remaining", remaining)
        }
        Outcome::Refused(Code::SaleNotOpen) => {
            let opens_at = view.publication.terms.opens_at.map(|at| at.to_string());
            Problem::from(Code::SaleNotOpen).with("opens_at", opens_at)
        }
        Outcome::Refused(code) => code.into(),
        Outcome::TermsChanged => Code::Overloaded.into(), // the request is placed again before it is answered
    })
}

/// Returns the 202 that the request got first.
fn replayed(view: &SaleView, first: &OrderReceipt, language: Language) -> (Response, &'static str) {
    let order = AcceptedOrder {
        id: first.id,
        sequence: first.sequence.0,
        amounts: first.amounts,
        hold_expires_at: first.hold_expires_at(),
    };
    let mut response = accepted(view, &order, language);
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    (response, outcome::REPLAYED)
}

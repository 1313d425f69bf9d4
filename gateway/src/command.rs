//! Commands to an order: each is one record in the log, behind the order's own, and settlement carries it
//! out in that order. The 202 says that the log has it, nothing more; the order's status tells the rest.
//! What is already known to be refused is refused at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::{CustomerId, OrderId, SaleId};
use contract::lifecycle::{CancelReason, Language, OrderStatus, Trigger};
use contract::problem::Code;
use contract::record::{Action, Command, Headers, RecordType};
use hyper::StatusCode;
use hyper::body::Incoming;
use lua::outbox::LogRecord;
use process::walltime;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::request_body;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::read::order;
use crate::read::order_status_loader::{self, CurrentStatus};
use crate::sales::sale_view::SaleView;
use crate::state::Gateway;

/// How long a command waits for the hand-off of its order, as a repeat does.
const HAND_OFF_WAIT_MAX: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A command that the log has, or that was carried out before. The order's status tells what comes of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecordedCommand")]
pub(crate) struct Recorded<'a> {
    order_id: OrderId,
    #[schemars(with = "SaleId")]
    sale_id: &'a str,
    /// `cancel`, `pay`, `refund` or `deliver`.
    command: &'static str,
    /// A sentence for the customer.
    message: &'static str,
    /// The path of the order's status.
    status_url: String,
}

/// What is already known of a command before it goes into the log.
enum Known {
    /// The order was moved by it before, or is about to be.
    Done,
    /// It may move the order.
    Possible,
    /// It cannot.
    Refused,
}

/// `DELETE /v1/sales/{sale}/orders/{order}`.
pub async fn cancel(call: RequestContext<'_>, sale: &str, order: &str) -> Result<Response, Problem> {
    let named = order::named(call, sale, order)?;
    let known = |order: &CurrentStatus| match order.status {
        OrderStatus::Cancelled if order.cancel_reason == Some(CancelReason::Customer) => Known::Done,
        status if status.can_cancel() => Known::Possible,
        _ => Known::Refused,
    };
    order_to(call, named, Action::Cancel, known).await
}

/// `POST /v1/sales/{sale}/orders/{order}/payment`.
pub async fn pay(
    call: RequestContext<'_>,
    sale: &str,
    order: &str,
    body: Incoming,
) -> Result<Response, Problem> {
    let named = order::named(call, sale, order)?;
    let body = request_body::body(&call.head.headers, body, request_body::BODY_BYTES_MAX).await?;
    let request = request_body::payment(&body)?;
    let method = request.method;
    let known = |order: &CurrentStatus| match order.status {
        OrderStatus::Processing | OrderStatus::Created => Known::Possible,
        // The same again. Another method comes too late.
        status if order.paid_by == Some(method) && (status.is_paid() || status.holds_units()) => Known::Done,
        _ => Known::Refused,
    };
    order_to(call, named, Action::Pay(request), known).await
}

/// `POST /v1/sales/{sale}/orders/{order}/refund`.
pub async fn refund(call: RequestContext<'_>, sale: &str, order: &str) -> Result<Response, Problem> {
    let named = order::named(call, sale, order)?;
    let known = |order: &CurrentStatus| match order.status {
        OrderStatus::RefundRequested | OrderStatus::Refunded => Known::Done,
        status if status.next(Trigger::RequestRefund).is_ok() => Known::Possible,
        _ => Known::Refused,
    };
    order_to(call, named, Action::Refund, known).await
}

/// Records a customer's command, unless it is known to be done or refused.
async fn order_to(
    call: RequestContext<'_>,
    (customer, view, id): (CustomerId, Arc<SaleView>, OrderId),
    action: Action,
    known: impl Fn(&CurrentStatus) -> Known,
) -> Result<Response, Problem> {
    let order = standing(call.gateway, &view, id, Some(&customer)).await?;
    let answer = recorded(&view, id, &action, call.language);
    match known(&order) {
        Known::Done => {}
        Known::Possible => append(call.gateway, &view, id, Some(customer), action).await?,
        Known::Refused => return Err(illegal(order.status)),
    }
    Ok(answer)
}

/// What the lifecycle does not have.
pub(crate) fn illegal(status: OrderStatus) -> Problem {
    let because = format!("The order is {}.", status.as_str());
    Problem::because(Code::IllegalMove, because).with("order_status", status.as_str())
}

/// The 202.
pub(crate) fn recorded(view: &SaleView, id: OrderId, action: &Action, language: Language) -> Response {
    let sale_id = view.publication.sale_id.as_str();
    let (english, korean) = match action {
        Action::Cancel => ("Your cancellation is recorded.", "취소 요청이 접수되었습니다."),
        Action::Pay(_) => ("Your payment is recorded.", "결제 요청이 접수되었습니다."),
        Action::Refund => ("Your refund is recorded.", "환불 요청이 접수되었습니다."),
        Action::Deliver(_) => ("The delivery change is recorded.", "배송 상태 변경이 접수되었습니다."),
        Action::PaymentResult(_) | Action::RefundResult(_) => ("Recorded.", "접수되었습니다."),
    };
    let message = match language {
        Language::English => english,
        Language::Korean => korean,
    };
    let status_url = format!("/v1/sales/{sale_id}/orders/{id}/status");
    let command = action.as_str();
    json(StatusCode::ACCEPTED, &Recorded { order_id: id, sale_id, command, message, status_url })
}

/// Where the order stands, once it is in the log: the command must come behind it.
pub(crate) async fn standing(
    gateway: &Gateway,
    view: &SaleView,
    id: OrderId,
    customer: Option<&CustomerId>,
) -> Result<CurrentStatus, Problem> {
    let begun = Instant::now();
    loop {
        if let Some(found) = order_status_loader::standing(gateway, view, id, customer).await? {
            return Ok(found);
        }
        if begun.elapsed() >= HAND_OFF_WAIT_MAX {
            return Err(Code::OutcomeUnknown.into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Into the log, also when the client hangs up meanwhile.
pub(crate) async fn append(
    gateway: &Gateway,
    view: &SaleView,
    order_id: OrderId,
    customer_id: Option<CustomerId>,
    action: Action,
) -> Result<(), Problem> {
    // Without a lease the log does not answer this gateway: said now rather than after a time-out.
    if !gateway.leases.load().is_valid() {
        return Err(Code::LogUnavailable.into());
    }
    let sale_id = view.publication.sale_id.clone();
    let at = walltime::now();
    let command = Command { sale_id: sale_id.clone(), order_id, customer_id, at, action };
    let record = LogRecord {
        headers: Headers::without_epoch(RecordType::Command),
        value: serde_json::to_vec(&command).unwrap_or_default(), // names and numbers always serialize
    };
    gateway.hand_off.append(sale_id.as_str(), view.publication.partition, &record).await
}

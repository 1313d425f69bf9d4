//! Commands to an order: each is one record in the log, behind the order's own, and settlement carries it
//! out in that order. The 202 says that the log has it, nothing more; the order's status tells the rest.
//! What is already known to be refused is refused at once.

use std::time::{Duration, Instant};

use contract::ids::{CustomerId, OrderId};
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::problem::Code;
use contract::record::{Action, Command, Headers, RecordType};
use hyper::StatusCode;
use hyper::http::request::Parts;
use lua::outbox::LogRecord;
use process::walltime;
use serde::Serialize;

use crate::lease::SaleView;
use crate::read::order;
use crate::respond::{Answer, Problem, json};
use crate::run::Gateway;

/// How long a command waits for the hand-off of its order, as a repeat does.
const HAND_OFF_WAIT_MAX: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The 202: the same for a doubled command.
#[derive(Serialize)]
struct Recorded<'a> {
    order_id: OrderId,
    sale_id: &'a str,
    command: &'static str,
    message: &'static str,
    status_url: String,
}

/// `DELETE /v1/sales/{sale}/orders/{order}`.
pub async fn cancel(
    gateway: &Gateway,
    sale: &str,
    order: &str,
    head: &Parts,
    language: Language,
) -> Result<Answer, Problem> {
    let (customer, view, id) = order::named(gateway, sale, order, head)?;
    let (status, reason) = standing(gateway, &view, id, &customer).await?;
    let done = status == OrderStatus::Cancelled && reason == Some(CancelReason::Customer);
    if !done {
        if !status.can_cancel() {
            let because = format!("The order is {}.", status.as_str());
            return Err(Problem::because(Code::IllegalMove, because).with("order_status", status.as_str()));
        }
        append(gateway, &view, id, customer, Action::Cancel).await?;
    }
    let sale_id = view.publication.sale_id.as_str();
    let message = match language {
        Language::English => "Your cancellation is recorded.",
        Language::Korean => "취소 요청이 접수되었습니다.",
    };
    let status_url = format!("/v1/sales/{sale_id}/orders/{id}/status");
    let command = Action::Cancel.as_str();
    Ok(json(StatusCode::ACCEPTED, &Recorded { order_id: id, sale_id, command, message, status_url }))
}

/// Where the order stands, once it is in the log: the command must come behind it.
async fn standing(
    gateway: &Gateway,
    view: &SaleView,
    id: OrderId,
    customer: &CustomerId,
) -> Result<(OrderStatus, Option<CancelReason>), Problem> {
    let begun = Instant::now();
    loop {
        if let Some(found) = order::standing(gateway, view, id, customer).await? {
            return Ok(found);
        }
        if begun.elapsed() >= HAND_OFF_WAIT_MAX {
            return Err(Code::OutcomeUnknown.into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Into the log, also when the client hangs up meanwhile.
async fn append(
    gateway: &Gateway,
    view: &SaleView,
    order_id: OrderId,
    customer_id: CustomerId,
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

//! Commands to an order. Each is one record in the log, behind the order's own, and settlement executes it in that
//! order. The 202 means that the log has the command, and nothing more; the order's status shows the result. A command
//! that is already known to be refused is refused at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::{CustomerId, OrderId, SaleId};
use contract::lifecycle::{CancelReason, Language, OrderStatus, Trigger};
use contract::order::PaymentRequest;
use contract::problem::Code;
use contract::record::{Action, Command, Headers, RecordType};
use contract::wire;
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
use crate::order::hand_off::HandOff;
use crate::read::order_lookup::OrderLookup;
use crate::read::order_status_loader::{CurrentStatus, OrderStatusLoader, current_status};
use crate::sales::lease::Leases;
use crate::sales::sale_view::SaleView;

/// How long a command waits for the hand-off of its order, as a repeated order does.
const HAND_OFF_WAIT_MAX: Duration = Duration::from_secs(1);
/// The pause between two polls of such an order.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A command that is recorded in the log, or was executed before. The order's status shows the result.
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

/// What commands need.
#[derive(Clone, Copy)]
pub struct Commands<'a> {
    /// Finds the order.
    pub orders: OrderLookup<'a>,
    /// Loads the order's status.
    pub statuses: &'a OrderStatusLoader,
    /// Appends the command to the log.
    pub hand_off: &'a HandOff,
}

/// What the order's status means for a command, before the command is in the log.
enum Precheck {
    /// The command has moved the order before, or is about to.
    Done,
    /// The command may move the order.
    Possible,
    /// The command cannot move the order.
    Refused,
}

/// Records a cancellation.
pub async fn cancel(
    commands: Commands<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Response, Problem> {
    let target = commands.orders.identify(context, sale, order)?;
    let precheck = |order: &CurrentStatus| match order.status {
        OrderStatus::Cancelled if order.cancel_reason == Some(CancelReason::Customer) => Precheck::Done,
        status if status.can_cancel() => Precheck::Possible,
        _ => Precheck::Refused,
    };
    commands.record(context, target, Action::Cancel, precheck).await
}

/// Records a request for payment.
pub async fn pay(
    commands: Commands<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
    body: Incoming,
) -> Result<Response, Problem> {
    let target = commands.orders.identify(context, sale, order)?;
    let body = request_body::read_json(&context.head.headers, body, request_body::BYTES_MAX).await?;
    let request: PaymentRequest = request_body::parse(&body)?;
    let invalid = |detail: String| Problem::because(Code::InvalidPayment, detail);
    request.check("token").map_err(|refused| invalid(refused.to_string()))?;
    let method = request.method;
    let precheck = |order: &CurrentStatus| match order.status {
        OrderStatus::Processing | OrderStatus::Created => Precheck::Possible,
        // A repeat has been done; another method comes too late.
        status if order.paid_by == Some(method) && (status.is_paid() || status.holds_units()) => {
            Precheck::Done
        }
        _ => Precheck::Refused,
    };
    commands.record(context, target, Action::Pay(request), precheck).await
}

/// Records a request for a refund.
pub async fn refund(
    commands: Commands<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Response, Problem> {
    let target = commands.orders.identify(context, sale, order)?;
    let precheck = |order: &CurrentStatus| match order.status {
        OrderStatus::RefundRequested | OrderStatus::Refunded => Precheck::Done,
        status if status.next(Trigger::RequestRefund).is_ok() => Precheck::Possible,
        _ => Precheck::Refused,
    };
    commands.record(context, target, Action::Refund, precheck).await
}

impl Commands<'_> {
    /// Records a customer's command, unless it is known to be done or refused.
    async fn record(
        self,
        context: RequestContext<'_>,
        (customer, view, id): (CustomerId, Arc<SaleView>, OrderId),
        action: Action,
        precheck: impl Fn(&CurrentStatus) -> Precheck,
    ) -> Result<Response, Problem> {
        let order = self.wait_for_order(&view, id, Some(&customer)).await?;
        let response = recorded(&view, id, &action, context.language);
        match precheck(&order) {
            Precheck::Done => {}
            Precheck::Possible => self.append(&view, id, Some(customer), action).await?,
            Precheck::Refused => return Err(illegal_move(order.status)),
        }
        Ok(response)
    }

    /// Returns the order's status once the order is in the log: the command must come behind it.
    pub(crate) async fn wait_for_order(
        self,
        view: &SaleView,
        id: OrderId,
        customer: Option<&CustomerId>,
    ) -> Result<CurrentStatus, Problem> {
        let begun = Instant::now();
        loop {
            if let Some(status) = current_status(self.orders, self.statuses, view, id, customer).await? {
                return Ok(status);
            }
            if begun.elapsed() >= HAND_OFF_WAIT_MAX {
                return Err(Code::OutcomeUnknown.into());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Appends a command to the log.
    pub(crate) async fn append(
        self,
        view: &SaleView,
        order: OrderId,
        customer: Option<CustomerId>,
        action: Action,
    ) -> Result<(), Problem> {
        append(self.orders.leases, self.hand_off, view, order, customer, action).await
    }
}

/// Returns the refusal of a command that the lifecycle does not allow.
pub(crate) fn illegal_move(status: OrderStatus) -> Problem {
    let detail = format!("The order is {}.", status.as_str());
    Problem::because(Code::IllegalMove, detail).with("order_status", status.as_str())
}

/// Returns the 202.
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

/// Appends a command to the log. The append continues if the client hangs up.
pub(crate) async fn append(
    leases: &Leases,
    hand_off: &HandOff,
    view: &SaleView,
    order_id: OrderId,
    customer_id: Option<CustomerId>,
    action: Action,
) -> Result<(), Problem> {
    // Without a lease the log does not respond to this gateway: refusing now is better than after a timeout.
    if !leases.load().is_valid() {
        return Err(Code::LogUnavailable.into());
    }
    let sale_id = view.publication.sale_id.clone();
    let at = walltime::now();
    let command = Command { sale_id: sale_id.clone(), order_id, customer_id, at, action };
    let record =
        LogRecord { headers: Headers::without_epoch(RecordType::Command), value: wire::encode(&command) };
    hand_off.append(sale_id.as_str(), view.publication.partition, &record).await
}

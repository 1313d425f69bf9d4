//! The response body of an order, built from its row in Postgres, or from its data in Redis while Postgres does not
//! store it yet.

use contract::ids::{CustomerId, OrderId, SaleId, Sku};
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::Currency;
use contract::order::{Amounts, Fulfilment, PaymentMethod};
use contract::payment::PaymentStatus;
use contract::timestamp::Timestamp;
use lua::find_orders::FoundOrder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::stored_json::decode_optional;
use crate::http::problem::Problem;
use crate::queries::StoredOrder;
use crate::sales::sale_view::SaleView;

/// The expected time from the 202 to settlement, in seconds, as returned to the customer.
const SETTLES_IN_SECONDS: u64 = 1;

/// An order as its customer sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Order")]
pub(crate) struct OrderBody {
    pub(super) order_id: OrderId,
    #[schemars(with = "SaleId")]
    sale_id: String,
    #[schemars(with = "CustomerId")]
    customer_id: String,
    /// The address for messages about the order, if the customer's token contains one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    customer_email: Option<String>,
    /// The order's position among the sale's accepted orders: 1, 2, 3, … without a gap.
    pub(super) sequence: u64,
    pub(super) status: OrderStatus,
    /// A sentence about the status, in the customer's language.
    status_description: &'static str,
    /// The progress of the order towards delivery, in percent.
    #[schemars(range(max = 100))]
    progress_percentage: u8,
    /// Whether the customer may cancel the order now.
    can_cancel: bool,
    /// The reason of the cancellation; absent unless the order is cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CancelReason")]
    cancel_reason: Option<CancelReason>,
    /// When the order was accepted.
    accepted_at: Timestamp,
    /// When the order reached this status.
    pub(super) last_updated: Timestamp,
    /// The expected time of the next status, or of the arrival.
    expected_completion_at: Timestamp,
    /// The time at which the order's units are released unless it is paid.
    hold_expires_at: Timestamp,
    /// The order lines; `null` between the 202 and settlement.
    lines: Option<Vec<LineBody>>,
    /// The sum of the lines, in the minor unit.
    subtotal: u64,
    /// The discount, in the minor unit.
    discount: u64,
    /// The delivery fee, in the minor unit.
    delivery_fee: u64,
    /// The amount to pay: subtotal - discount + delivery fee, in the minor unit.
    total: u64,
    currency: Currency,
    /// The payment; `null` until one is requested.
    payment: Option<PaymentBody>,
    /// How the goods are delivered; absent until the order is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Fulfilment")]
    fulfilment: Option<Fulfilment>,
    /// The delivery; `null` until the order is paid.
    pub(super) delivery: Option<DeliveryBody>,
    /// The history of the order, oldest entry first. It is empty in lists of orders.
    history: Vec<HistoryEntry>,
    /// Commands that were repeated, late or in the wrong order, with their results.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Note>")]
    notes: Option<Vec<Note>>,
}

/// A line of an order.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OrderLine")]
struct LineBody {
    sku: Sku,
    /// The number of units.
    quantity: u32,
    /// The price of one unit, in the minor unit.
    unit_price: u64,
}

/// The payment of an order.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Payment")]
struct PaymentBody {
    /// The ID under which the card provider knows the payment.
    payment_id: Uuid,
    method: PaymentMethod,
    status: PaymentStatus,
    /// The amount, in the minor unit.
    amount: u64,
    currency: Currency,
    /// The reason of the failure.
    reason: Option<String>,
    requested_at: Timestamp,
    captured_at: Option<Timestamp>,
    refunded_at: Option<Timestamp>,
}

/// The delivery of an order.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub(crate) struct DeliveryBody {
    delivery_id: Uuid,
    order_id: OrderId,
    kind: Fulfilment,
    /// The status of the delivery.
    status: OrderStatus,
    /// The courier's tracking number; `null` for goods that are stored.
    tracking_number: Option<String>,
    courier: Option<String>,
    /// When the order was paid.
    started_at: Timestamp,
    /// When the goods were handed to the courier.
    shipped_at: Option<Timestamp>,
    /// When the goods were delivered to the customer.
    completed_at: Option<Timestamp>,
    estimated_arrival: Option<Timestamp>,
    /// A sentence about the latest status.
    last_status_message: String,
}

/// A change of an order's status.
#[derive(Serialize, JsonSchema)]
struct HistoryEntry {
    status: OrderStatus,
    /// A sentence about the status, in the customer's language.
    description: &'static str,
    at: Timestamp,
    /// The reason, if the order was cancelled or its payment failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    reason: Option<String>,
}

/// A history entry as Postgres returns it.
#[derive(Deserialize)]
struct HistoryRow {
    status: OrderStatus,
    at_ms: u64,
    reason: Option<String>,
}

/// A command that had no effect, or not the requested one.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    /// The requested command, such as `cancel`.
    command: String,
    /// The result: `illegal` if the order's status did not allow the command, else `late`, `unknown` or `mismatch`.
    result: String,
    /// The order's status at that time.
    order_status: Option<OrderStatus>,
    at: Timestamp,
}

/// A page of orders, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Orders")]
pub(crate) struct OrdersBody {
    pub(crate) orders: Vec<OrderBody>,
    /// The `cursor` parameter of the next page; `null` on the last page.
    pub(crate) next_cursor: Option<String>,
}

/// The current status of an order, as live updates send it, too.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderStatusNow")]
pub(crate) struct StatusBody {
    order_id: OrderId,
    status: OrderStatus,
    /// A sentence about the status, in the customer's language.
    status_description: &'static str,
    /// The progress of the order towards delivery, in percent.
    #[schemars(range(max = 100))]
    progress_percentage: u8,
    /// Whether the customer may cancel the order now.
    can_cancel: bool,
    /// When the order reached this status.
    last_updated: Timestamp,
}

impl StatusBody {
    pub(crate) fn new(
        order_id: OrderId,
        status: OrderStatus,
        last_updated: Timestamp,
        language: Language,
    ) -> Self {
        Self {
            order_id,
            status,
            status_description: status.description(language),
            progress_percentage: status.progress_percentage(),
            can_cancel: status.can_cancel(),
            last_updated,
        }
    }
}

/// Converts rows to a page of orders and the cursor of the next page. The query returns one row more than the page
/// has.
pub(crate) fn listed(
    view: &SaleView,
    rows: Vec<StoredOrder>,
    limit: i64,
    language: Language,
) -> Result<(Vec<OrderBody>, Option<String>), Problem> {
    let more = rows.len() as i64 > limit;
    let page = rows.into_iter().take(limit as usize);
    let orders = page.map(|row| from_row(view, row, language)).collect::<Result<Vec<_>, _>>()?;
    let next = orders.last().filter(|_| more).map(|order| order.sequence.to_string());
    Ok((orders, next))
}

pub(super) fn from_row(view: &SaleView, row: StoredOrder, language: Language) -> Result<OrderBody, Problem> {
    // Every column is named, so that a new one cannot be forgotten here.
    let StoredOrder {
        order_id,
        sale_id: _,
        customer_id,
        customer_email,
        sequence,
        status,
        cancel_reason,
        subtotal,
        discount,
        delivery_fee,
        total,
        currency,
        hold_expires_at,
        accepted_at,
        updated_at,
        fulfilment,
        lines,
        payment,
        delivery,
        history,
        notes,
    } = row;
    let history: Option<Vec<HistoryRow>> = decode_optional(history.as_ref(), "history")?;
    let history = history.unwrap_or_default().into_iter().map(|HistoryRow { status, at_ms, reason }| {
        let (description, at) = (status.description(language), Timestamp(at_ms));
        HistoryEntry { status, description, at, reason }
    });
    let hold_expires_at = Timestamp::from_datetime(hold_expires_at);
    let updated_at = Timestamp::from_datetime(updated_at);
    let delivery: Option<DeliveryBody> = decode_optional(delivery.as_ref(), "delivery")?;
    let arrival = delivery.as_ref().and_then(|delivery| delivery.estimated_arrival);
    let expected_completion_at = match (status, arrival) {
        (OrderStatus::Created, _) => hold_expires_at,
        (status, _) if status.is_final() => updated_at,
        (_, Some(arrival)) => arrival,
        (status, None) => updated_at.plus_seconds(status.expected_seconds().unwrap_or_default()),
    };
    Ok(OrderBody {
        order_id,
        sale_id: view.publication.sale_id.to_string(),
        customer_id: customer_id.to_string(),
        customer_email,
        sequence: sequence.0,
        status,
        status_description: status.description(language),
        progress_percentage: status.progress_percentage(),
        can_cancel: status.can_cancel(),
        cancel_reason: cancel_reason.as_deref().and_then(CancelReason::parse),
        accepted_at: Timestamp::from_datetime(accepted_at),
        last_updated: updated_at,
        expected_completion_at,
        hold_expires_at,
        lines: decode_optional(lines.as_ref(), "lines")?,
        subtotal: subtotal as u64,
        discount: discount as u64,
        delivery_fee: delivery_fee as u64,
        total: total as u64,
        currency,
        payment: decode_optional(payment.as_ref(), "payment")?,
        fulfilment: Some(fulfilment),
        delivery,
        history: history.collect(),
        notes: decode_optional(notes.as_ref(), "notes")?,
    })
}

/// Returns the status of an order in Redis, which learns of a cancellation when the units are released.
pub(crate) fn fresh_status(found: &FoundOrder) -> OrderStatus {
    if found.order.live { OrderStatus::Processing } else { OrderStatus::Cancelled }
}

/// Builds the body of an order that the log has stored but Postgres has not (or while Postgres is down). Redis does
/// not store the lines.
pub(super) fn processing(
    view: &SaleView,
    customer: &CustomerId,
    found: &FoundOrder,
    language: Language,
) -> OrderBody {
    let (status, order) = (fresh_status(found), &found.order);
    let Amounts { subtotal, discount, delivery_fee } = order.amounts;
    OrderBody {
        order_id: order.id,
        sale_id: view.publication.sale_id.to_string(),
        customer_id: customer.to_string(),
        customer_email: None,
        sequence: order.sequence.0,
        status,
        status_description: status.description(language),
        progress_percentage: status.progress_percentage(),
        can_cancel: status.can_cancel(),
        cancel_reason: None,
        accepted_at: order.accepted_at,
        last_updated: order.accepted_at,
        expected_completion_at: order.accepted_at.plus_seconds(SETTLES_IN_SECONDS),
        hold_expires_at: order.hold_expires_at(),
        lines: None,
        subtotal,
        discount,
        delivery_fee,
        total: order.amounts.total(),
        currency: view.publication.terms.currency,
        payment: None,
        fulfilment: None,
        delivery: None,
        history: vec![HistoryEntry {
            status,
            description: status.description(language),
            at: order.accepted_at,
            reason: None,
        }],
        notes: None,
    }
}

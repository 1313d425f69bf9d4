//! What an order looks like to whoever may see it: from its row in Postgres, or from what Redis remembers of it
//! while Postgres does not have it.

use contract::ids::{CustomerId, OrderId, SaleId, Sku};
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::Currency;
use contract::order::{Amounts, Fulfilment, PaymentMethod};
use contract::payment::PaymentStatus;
use contract::problem::Code;
use contract::timestamp::Timestamp;
use lua::find_orders::FoundOrder;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::http::problem::Problem;
use crate::sales::sale_view::SaleView;

/// Settlement follows the 202 by less than this, in seconds; told to the customer as expectation.
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
    /// Where messages about the order go, where the customer's identity told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    customer_email: Option<String>,
    /// Its place among the sale's accepted orders: 1, 2, 3, … without a gap.
    pub(super) sequence: u64,
    pub(super) status: OrderStatus,
    /// A sentence about the status, in the customer's language.
    status_description: &'static str,
    /// How far the order is on its way to the customer.
    #[schemars(range(max = 100))]
    progress_percentage: u8,
    /// Whether its customer may cancel it now.
    can_cancel: bool,
    /// Where it is cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CancelReason")]
    cancel_reason: Option<CancelReason>,
    /// When its 202 was decided.
    accepted_at: Timestamp,
    /// When it came into this status.
    pub(super) last_updated: Timestamp,
    /// When its next status, or its arrival, may be expected.
    expected_completion_at: Timestamp,
    /// Until when its units are held for it unless it is paid.
    hold_expires_at: Timestamp,
    /// What was bought; `null` for the moment between the 202 and settlement.
    lines: Option<Vec<LineBody>>,
    /// Sum of the lines, in the minor unit.
    subtotal: u64,
    /// In the minor unit.
    discount: u64,
    /// In the minor unit.
    delivery_fee: u64,
    /// What the customer pays: subtotal - discount + delivery fee, in the minor unit.
    total: u64,
    currency: Currency,
    /// `null` until a payment has been asked for.
    payment: Option<PaymentBody>,
    /// How the goods reach the customer; absent until the order is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Fulfilment")]
    fulfilment: Option<Fulfilment>,
    /// `null` until the order is paid.
    pub(super) delivery: Option<DeliveryBody>,
    /// What happened to it, oldest first. Lists of orders leave it empty.
    history: Vec<HistoryEntry>,
    /// Commands that came twice, late or in the wrong order, and what became of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Note>")]
    notes: Option<Vec<Note>>,
}

/// One line of an order.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OrderLine")]
struct LineBody {
    sku: Sku,
    /// Units.
    quantity: u32,
    /// For one unit, in the minor unit.
    unit_price: u64,
}

/// Where the money of an order stands.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Payment")]
struct PaymentBody {
    /// What the card provider knows it by.
    payment_id: Uuid,
    method: PaymentMethod,
    status: PaymentStatus,
    /// In the minor unit.
    amount: u64,
    currency: Currency,
    /// Why it failed.
    reason: Option<String>,
    requested_at: Timestamp,
    captured_at: Option<Timestamp>,
    refunded_at: Option<Timestamp>,
}

/// Where the goods of an order are.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub(crate) struct DeliveryBody {
    delivery_id: Uuid,
    order_id: OrderId,
    kind: Fulfilment,
    /// How far they have come.
    status: OrderStatus,
    /// The courier's; `null` for goods that are kept.
    tracking_number: Option<String>,
    courier: Option<String>,
    /// When the order was paid.
    started_at: Timestamp,
    /// When the courier had them.
    shipped_at: Option<Timestamp>,
    /// When the customer had them.
    completed_at: Option<Timestamp>,
    estimated_arrival: Option<Timestamp>,
    /// What happened last, in a sentence.
    last_status_message: String,
}

/// One change of an order.
#[derive(Serialize, JsonSchema)]
struct HistoryEntry {
    status: OrderStatus,
    /// A sentence about the status, in the customer's language.
    description: &'static str,
    at: Timestamp,
    /// Why, where it was cancelled or its payment failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    reason: Option<String>,
}

/// The same, as Postgres tells it.
#[derive(Deserialize)]
struct HistoryRow {
    status: OrderStatus,
    at_ms: u64,
    reason: Option<String>,
}

/// A command that moved nothing, or not what it asked for.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    /// What was asked for, such as `cancel`.
    command: String,
    /// What came of it: `illegal` where the order's status had no such move, else `late`, `unknown` or `mismatch`.
    result: String,
    /// Where the order stood then.
    order_status: Option<OrderStatus>,
    at: Timestamp,
}

/// A page of orders, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Orders")]
pub(crate) struct OrdersBody {
    pub(crate) orders: Vec<OrderBody>,
    /// The parameter `cursor` of the next page; `null`: this is the last one.
    pub(crate) next_cursor: Option<String>,
}

/// Where an order stands, in short; live updates say the same.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderStatusNow")]
pub(crate) struct StatusBody {
    order_id: OrderId,
    status: OrderStatus,
    /// A sentence about the status, in the customer's language.
    status_description: &'static str,
    /// How far the order is on its way to the customer.
    #[schemars(range(max = 100))]
    progress_percentage: u8,
    /// Whether its customer may cancel it now.
    can_cancel: bool,
    /// When it came into this status.
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

/// A page of orders, and the cursor of the next one. One row more than the page was asked for.
pub(crate) fn listed(
    view: &SaleView,
    rows: &[Row],
    limit: i64,
    language: Language,
) -> Result<(Vec<OrderBody>, Option<String>), Problem> {
    let page = rows.iter().take(limit as usize);
    let orders = page.map(|row| from_row(view, row, language)).collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() as i64 > limit;
    let next = orders.last().filter(|_| more).map(|order| order.sequence.to_string());
    Ok((orders, next))
}

pub(super) fn from_row(view: &SaleView, row: &Row, language: Language) -> Result<OrderBody, Problem> {
    let at = |name: &str| Timestamp::from_datetime(row.get::<_, OffsetDateTime>(name));
    let amount = |name: &str| row.get::<_, i64>(name) as u64;
    let status = OrderStatus::parse(row.get("status")).ok_or_else(|| corrupt("status"))?;
    let history: Vec<HistoryRow> = told(row, "history")?.unwrap_or_default();
    let history = history.into_iter().map(|HistoryRow { status, at_ms, reason }| {
        let (description, at) = (status.description(language), Timestamp(at_ms));
        HistoryEntry { status, description, at, reason }
    });
    let (hold_expires_at, updated_at) = (at("hold_expires_at"), at("updated_at"));
    let delivery: Option<DeliveryBody> = told(row, "delivery")?;
    let arrival = delivery.as_ref().and_then(|delivery| delivery.estimated_arrival);
    let expected_completion_at = match (status, arrival) {
        (OrderStatus::Created, _) => hold_expires_at,
        (status, _) if status.is_final() => updated_at,
        (_, Some(arrival)) => arrival,
        (status, None) => updated_at.plus_seconds(status.expected_seconds().unwrap_or_default()),
    };
    Ok(OrderBody {
        order_id: OrderId(row.get("order_id")),
        sale_id: view.publication.sale_id.to_string(),
        customer_id: row.get("customer_id"),
        customer_email: row.get("customer_email"),
        sequence: row.get::<_, i64>("sequence") as u64,
        status,
        status_description: status.description(language),
        progress_percentage: status.progress_percentage(),
        can_cancel: status.can_cancel(),
        cancel_reason: row.get::<_, Option<&str>>("cancel_reason").and_then(CancelReason::parse),
        accepted_at: at("accepted_at"),
        last_updated: updated_at,
        expected_completion_at,
        hold_expires_at,
        lines: told(row, "lines")?,
        subtotal: amount("subtotal"),
        discount: amount("discount"),
        delivery_fee: amount("delivery_fee"),
        total: amount("total"),
        currency: Currency::parse(row.get("currency")).ok_or_else(|| corrupt("currency"))?,
        payment: told(row, "payment")?,
        fulfilment: match row.get::<_, &str>("fulfilment") {
            "store" => Some(Fulfilment::Store),
            _ => Some(Fulfilment::Ship),
        },
        delivery,
        history: history.collect(),
        notes: told(row, "notes")?,
    })
}

/// What a query has put together in Postgres.
pub(crate) fn told<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>, Problem> {
    let told = row.try_get::<_, Option<Json<T>>>(column);
    told.map(|told| told.map(|Json(told)| told)).map_err(|error| {
        tracing::error!(%error, cause = ?error, column, "what Postgres tells cannot be read");
        corrupt(column)
    })
}

pub(crate) fn corrupt(what: &str) -> Problem {
    tracing::error!(what, "an order in Postgres cannot be shown");
    Code::Internal.into()
}

/// Redis learns of a cancelled order when its units come back.
pub(crate) fn fresh_status(found: &FoundOrder) -> OrderStatus {
    if found.order.live { OrderStatus::Processing } else { OrderStatus::Cancelled }
}

/// An order that the log has and Postgres not yet (or Postgres is away). Its lines are not in Redis.
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

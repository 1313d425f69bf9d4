//! What an order looks like to whoever may see it: from its row in Postgres, or from what Redis remembers of it
//! while Postgres does not have it.

use contract::ids::{CustomerId, OrderId};
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::Currency;
use contract::order::Amounts;
use contract::problem::Code;
use contract::timestamp::Timestamp;
use lua::find::Found;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::lease::SaleView;
use crate::respond::Problem;

/// Settlement follows the 202 by less than this, in seconds; told to the customer as expectation.
const SETTLES_IN_SECONDS: u64 = 1;

/// An order as its customer sees it.
#[derive(Serialize)]
pub(crate) struct OrderBody {
    pub(super) order_id: OrderId,
    sale_id: String,
    customer_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_email: Option<String>,
    pub(super) sequence: u64,
    pub(super) status: OrderStatus,
    status_description: &'static str,
    progress_percentage: u8,
    can_cancel: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_reason: Option<CancelReason>,
    pub(super) last_updated: Timestamp,
    expected_completion_at: Timestamp,
    hold_expires_at: Timestamp,
    lines: Option<Value>,
    subtotal: u64,
    discount: u64,
    delivery_fee: u64,
    total: u64,
    currency: Currency,
    payment: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfilment: Option<String>,
    pub(super) delivery: Option<Value>,
    history: Vec<HistoryEntry>,
    /// Commands that came twice, late or in the wrong order, and what became of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<Value>,
}

/// What happened to it.
#[derive(Serialize)]
struct HistoryEntry {
    status: OrderStatus,
    description: &'static str,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Where an order stands, in short; live updates say the same.
#[derive(Serialize)]
pub(crate) struct StatusBody {
    order_id: OrderId,
    status: OrderStatus,
    status_description: &'static str,
    progress_percentage: u8,
    can_cancel: bool,
    last_updated: Timestamp,
}

impl StatusBody {
    pub(crate) fn of(
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
    let history = row.get::<_, Option<Value>>("history");
    let history =
        history.iter().flat_map(|entries| entries.as_array().into_iter().flatten()).filter_map(|entry| {
            let status = OrderStatus::parse(entry["status"].as_str()?)?;
            Some(HistoryEntry {
                status,
                description: status.description(language),
                at: Timestamp(entry["at_ms"].as_u64()?),
                reason: entry["reason"].as_str().map(String::from),
            })
        });
    let (hold_expires_at, updated_at) = (at("hold_expires_at"), at("updated_at"));
    let delivery: Option<Value> = row.get("delivery");
    let arrival = delivery.as_ref().and_then(|delivery| delivery["estimated_arrival"].as_str());
    let expected_completion_at = match (status, arrival.and_then(Timestamp::parse)) {
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
        last_updated: updated_at,
        expected_completion_at,
        hold_expires_at,
        lines: row.get("lines"),
        subtotal: amount("subtotal"),
        discount: amount("discount"),
        delivery_fee: amount("delivery_fee"),
        total: amount("total"),
        currency: Currency::parse(row.get("currency")).ok_or_else(|| corrupt("currency"))?,
        payment: row.get("payment"),
        fulfilment: row.get("fulfilment"),
        delivery,
        history: history.collect(),
        notes: row.get("notes"),
    })
}

pub(super) fn corrupt(what: &str) -> Problem {
    tracing::error!(what, "an order in Postgres cannot be shown");
    Code::Internal.into()
}

/// Redis learns of a cancelled order when its units come back.
pub(crate) fn fresh_status(found: &Found) -> OrderStatus {
    if found.order.live { OrderStatus::Processing } else { OrderStatus::Cancelled }
}

/// An order that the log has and Postgres not yet (or Postgres is away). Its lines are not in Redis.
pub(super) fn processing(
    view: &SaleView,
    customer: &CustomerId,
    found: &Found,
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

//! A customer's orders. Postgres is asked first; an order that it does not have yet is `processing`
//! when Redis remembers it. When neither can tell, the answer is 503, never 404: a customer must not
//! be told that an accepted order does not exist.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::{CustomerId, OrderId};
use contract::keys::buyer_field;
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::Currency;
use contract::order::Amounts;
use contract::problem::Code;
use contract::timestamp::Timestamp;
use hyper::StatusCode;
use hyper::http::request::Parts;
use lua::RedisError;
use lua::find::Found;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::{Page, page, sale};
use crate::authenticate;
use crate::lease::SaleView;
use crate::respond::{Answer, Problem, json};
use crate::run::Gateway;
use crate::standing::Standing;

const ORDER: &str = include_str!("../../queries/order.sql");
const MY_ORDERS: &str = include_str!("../../queries/my_orders.sql");
/// Orders on a page.
const PAGE_DEFAULT: i64 = 20;
const PAGE_MAX: i64 = 100;
/// How long Postgres may take before Redis is asked: a fresh order is `processing` also while Postgres hangs.
const POSTGRES_WAIT: Duration = Duration::from_secs(1);
/// Settlement follows the 202 by less than this, in seconds; told to the customer as expectation.
const SETTLES_IN_SECONDS: u64 = 1;

/// An order as its customer sees it.
#[derive(Serialize)]
pub(crate) struct OrderBody {
    order_id: OrderId,
    sale_id: String,
    customer_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_email: Option<String>,
    sequence: u64,
    status: OrderStatus,
    status_description: &'static str,
    progress_percentage: u8,
    can_cancel: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_reason: Option<CancelReason>,
    last_updated: Timestamp,
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
    delivery: Option<Value>,
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

/// `GET /v1/sales/{sale}/orders/{order}`.
pub(super) async fn one(
    gateway: &Gateway,
    sale: &str,
    order: &str,
    head: &Parts,
    language: Language,
) -> Result<Answer, Problem> {
    Ok(json(StatusCode::OK, &find(gateway, sale, order, head, language).await?))
}

/// `GET /v1/sales/{sale}/orders/{order}/status`.
pub(super) async fn status(
    gateway: &Gateway,
    sale: &str,
    order: &str,
    head: &Parts,
    language: Language,
) -> Result<Answer, Problem> {
    let order = find(gateway, sale, order, head, language).await?;
    let body = StatusBody::of(order.order_id, order.status, order.last_updated, language);
    Ok(json(StatusCode::OK, &body))
}

async fn find(
    gateway: &Gateway,
    sale: &str,
    order: &str,
    head: &Parts,
    language: Language,
) -> Result<OrderBody, Problem> {
    let (customer, view, id) = named(gateway, sale, order, head)?;
    find_of(gateway, &view, id, &customer, language).await
}

/// Who asks, in which sale, for which order.
pub(crate) fn named(
    gateway: &Gateway,
    sale: &str,
    order: &str,
    head: &Parts,
) -> Result<(CustomerId, Arc<SaleView>, OrderId), Problem> {
    let customer = authenticate::customer(&head.headers)?;
    let (view, id) = addressed(gateway, sale, order)?;
    Ok((customer, view, id))
}

/// Which order of which sale.
pub(crate) fn addressed(
    gateway: &Gateway,
    sale: &str,
    order: &str,
) -> Result<(Arc<SaleView>, OrderId), Problem> {
    let view = sale::find(gateway, sale)?;
    let id = order.parse().map_err(|_| Problem::from(Code::NotFound))?;
    Ok((view, id))
}

/// Where an order stands; for a command, which must come behind the order in the log. `None`: it is in the
/// outbox, so it may not be there yet. `customer`: whose it must be; an operator's may be anyone's.
pub(crate) async fn standing(
    gateway: &Gateway,
    view: &SaleView,
    id: OrderId,
    customer: Option<&CustomerId>,
) -> Result<Option<Standing>, Problem> {
    let asked = gateway.standings.of(id, &view.publication.sale_id, customer);
    let Some(customer) = customer else { return asked.await?.ok_or(Code::NotFound.into()).map(Some) };
    let fresh = |found: &Found, _| {
        (!found.in_outbox).then_some(Standing {
            status: fresh_status(found),
            cancel_reason: None,
            paid_by: None,
        })
    };
    let asked = async { asked.await.map(|found| found.map(Some)) };
    settled_or_remembered(gateway, view, id, customer, asked, fresh).await
}

/// `GET /v1/sales/{sale}/orders/{order}/delivery`: from the payment on.
pub(super) async fn delivery(
    gateway: &Gateway,
    sale: &str,
    order: &str,
    head: &Parts,
) -> Result<Answer, Problem> {
    let order = find(gateway, sale, order, head, Language::English).await?;
    match &order.delivery {
        Some(delivery) => Ok(json(StatusCode::OK, delivery)),
        None => {
            let because = format!("The order is {}: nothing is delivered yet.", order.status.as_str());
            Err(Problem::because(Code::NotFound, because).with("order_status", order.status.as_str()))
        }
    }
}

/// One order, as an operator sees it.
pub(crate) async fn any(
    gateway: &Gateway,
    view: &SaleView,
    id: OrderId,
    language: Language,
) -> Result<Answer, Problem> {
    let order = settled(gateway, view, id, None, language).await?.ok_or(Code::NotFound)?;
    Ok(json(StatusCode::OK, &order))
}

async fn find_of(
    gateway: &Gateway,
    view: &SaleView,
    id: OrderId,
    customer: &CustomerId,
    language: Language,
) -> Result<OrderBody, Problem> {
    let asked = settled(gateway, view, id, Some(customer), language);
    let fresh = |found: &Found, _| processing(view, customer, found, language);
    settled_or_remembered(gateway, view, id, customer, asked, fresh).await
}

/// What Postgres tells of an order; else what Redis remembers of it. `fresh` is also told whether Postgres has
/// said that it does not have the order yet; else Postgres did not answer.
pub(crate) async fn settled_or_remembered<T>(
    gateway: &Gateway,
    view: &SaleView,
    id: OrderId,
    customer: &CustomerId,
    asked: impl Future<Output = Result<Option<T>, Problem>>,
    fresh: impl FnOnce(&Found, bool) -> T,
) -> Result<T, Problem> {
    let settled = tokio::time::timeout(POSTGRES_WAIT, asked).await;
    let settled = settled.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()));
    if let Ok(Some(order)) = settled {
        return Ok(order);
    }
    let remembered = remembered(gateway, view, buyer_field(customer, id.request(), view.limited())).await;
    if let Ok(orders) = &remembered
        && let Some(found) = orders.iter().find(|found| found.order.id == id)
    {
        return Ok(fresh(found, settled.is_ok()));
    }
    settled?;
    remembered?;
    Err(Code::NotFound.into())
}

async fn settled(
    gateway: &Gateway,
    view: &SaleView,
    id: OrderId,
    customer: Option<&CustomerId>,
    language: Language,
) -> Result<Option<OrderBody>, Problem> {
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(ORDER).await?;
    let sale = view.publication.sale_id.as_str();
    let row = client.query_opt(&statement, &[&id.0, &sale, &customer.map(CustomerId::as_str)]).await?;
    row.map(|row| from_row(view, &row, language)).transpose()
}

/// What Redis remembers under a buyer field, as far as it may be believed now.
async fn remembered(gateway: &Gateway, view: &SaleView, field: Vec<u8>) -> Result<Vec<Found>, Problem> {
    let Some(scripts) = view.publication.scripts.as_ref().filter(|_| view.publication.ready) else {
        return Err(Code::SaleRebuilding.into());
    };
    let sale = &view.publication.sale_id;
    let found = lua::find::find(&gateway.redis, &scripts.find, &view.keys, field).await;
    match found {
        Ok(Ok(_)) if !gateway.leases.load().covers(sale, view.epoch()) => Err(Code::LogUnavailable.into()),
        Ok(Ok(orders)) => Ok(orders),
        Ok(Err(_)) | Err(RedisError::NoScript) => {
            gateway.leases.found_lost(sale, view.epoch());
            Err(Code::SaleRebuilding.into())
        }
        Err(_) => Err(Code::StockUnavailable.into()),
    }
}

/// `GET /v1/sales/{sale}/orders?cursor=&limit=`: newest first.
pub(super) async fn mine(
    gateway: &Gateway,
    sale: &str,
    head: &Parts,
    language: Language,
) -> Result<Answer, Problem> {
    let customer = authenticate::customer(&head.headers)?;
    let view = sale::find(gateway, sale)?;
    let Page { limit, before } = page(head, PAGE_DEFAULT, PAGE_MAX)?;
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(MY_ORDERS).await?;
    let sale_id = view.publication.sale_id.as_str();
    let rows = client
        .query(&statement, &[&sale_id, &customer.as_str(), &before.unwrap_or(i64::MAX), &(limit + 1)])
        .await?;
    let (mut orders, next_cursor) = listed(&view, &rows, limit, language)?;

    // The newest ones may not be settled yet. Where orders are not limited they are not listed by
    // customer in Redis; each is still found by its id.
    if before.is_none() && view.limited() {
        let field = customer.as_str().as_bytes().to_vec();
        if let Ok(remembered) = remembered(gateway, &view, field).await {
            let known: std::collections::HashSet<_> = orders.iter().map(|order| order.order_id).collect();
            let newest = orders.first().map_or(0, |order| order.sequence);
            let fresh = remembered
                .iter()
                .filter(|found| found.order.sequence.0 > newest && !known.contains(&found.order.id));
            orders.splice(
                0..0,
                fresh.rev().map(|found| processing(&view, &customer, found, language)).collect::<Vec<_>>(),
            );
        }
    }
    Ok(json(StatusCode::OK, &serde_json::json!({ "orders": orders, "next_cursor": next_cursor })))
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

fn from_row(view: &SaleView, row: &Row, language: Language) -> Result<OrderBody, Problem> {
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

fn corrupt(what: &str) -> Problem {
    tracing::error!(what, "an order in Postgres cannot be shown");
    Code::Internal.into()
}

/// Redis learns of a cancelled order when its units come back.
pub(crate) fn fresh_status(found: &Found) -> OrderStatus {
    if found.order.live { OrderStatus::Processing } else { OrderStatus::Cancelled }
}

/// An order that the log has and Postgres not yet (or Postgres is away). Its lines are not in Redis.
fn processing(view: &SaleView, customer: &CustomerId, found: &Found, language: Language) -> OrderBody {
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

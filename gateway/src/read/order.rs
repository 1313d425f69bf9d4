//! A customer's orders. Postgres is asked first; an order that it does not have yet is `processing`
//! when Redis remembers it. When neither can tell, the answer is 503, never 404: a customer must not
//! be told that an accepted order does not exist.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::{CustomerId, OrderId};
use contract::keys::buyer_field;
use contract::lifecycle::Language;
use contract::problem::Code;
use hyper::StatusCode;
use lua::RedisError;
use lua::find_orders::FoundOrder;

use super::order_response::{OrderBody, OrdersBody, StatusBody, from_row, listed, processing};
use super::sale;
use crate::http::authenticate;
use crate::http::json::json;
use crate::http::pagination::Page;
use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::sales::sale_view::SaleView;
use crate::state::Gateway;

const ORDER: &str = include_str!("../../queries/order.sql");
const MY_ORDERS: &str = include_str!("../../queries/my_orders.sql");
/// Orders on a page.
pub(crate) const PAGE_DEFAULT: i64 = 20;
pub(crate) const PAGE_MAX: i64 = 100;
/// How long Postgres may take before Redis is asked: a fresh order is `processing` also while Postgres hangs.
const POSTGRES_WAIT: Duration = Duration::from_secs(1);

/// `GET /v1/sales/{sale}/orders/{order}`.
pub(super) async fn one(call: RequestContext<'_>, sale: &str, order: &str) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &find(call, sale, order).await?))
}

/// `GET /v1/sales/{sale}/orders/{order}/status`.
pub(super) async fn status(call: RequestContext<'_>, sale: &str, order: &str) -> Result<Response, Problem> {
    let order = find(call, sale, order).await?;
    let body = StatusBody::of(order.order_id, order.status, order.last_updated, call.language);
    Ok(json(StatusCode::OK, &body))
}

async fn find(call: RequestContext<'_>, sale: &str, order: &str) -> Result<OrderBody, Problem> {
    let (customer, view, id) = named(call, sale, order)?;
    find_of(call.gateway, &view, id, &customer, call.language).await
}

/// Who asks, in which sale, for which order.
pub(crate) fn named(
    call: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<(CustomerId, Arc<SaleView>, OrderId), Problem> {
    let customer = authenticate::customer(&call.head.headers)?;
    let (view, id) = addressed(call.gateway, sale, order)?;
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

/// `GET /v1/sales/{sale}/orders/{order}/delivery`: from the payment on.
pub(super) async fn delivery(call: RequestContext<'_>, sale: &str, order: &str) -> Result<Response, Problem> {
    let order = find(call, sale, order).await?;
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
) -> Result<Response, Problem> {
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
    let fresh = |found: &FoundOrder, _| processing(view, customer, found, language);
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
    fresh: impl FnOnce(&FoundOrder, bool) -> T,
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
async fn remembered(gateway: &Gateway, view: &SaleView, field: Vec<u8>) -> Result<Vec<FoundOrder>, Problem> {
    let Some(scripts) = view.publication.scripts.as_ref().filter(|_| view.publication.ready) else {
        return Err(Code::SaleRebuilding.into());
    };
    let sale = &view.publication.sale_id;
    let found = lua::find_orders::find_orders(&gateway.redis, &scripts.find_orders, &view.keys, field).await;
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
pub(super) async fn mine(call: RequestContext<'_>, sale: &str) -> Result<Response, Problem> {
    let RequestContext { gateway, head, language } = call;
    let customer = authenticate::customer(&head.headers)?;
    let view = sale::find(gateway, sale)?;
    let Page { limit, before } = Page::parse(head, PAGE_DEFAULT, PAGE_MAX)?;
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
    Ok(json(StatusCode::OK, &OrdersBody { orders, next_cursor }))
}

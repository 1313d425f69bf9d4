//! A customer's orders.

use contract::ids::{CustomerId, OrderId};
use contract::lifecycle::Language;
use contract::problem::Code;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use lua::find_orders::FoundOrder;

use super::order_lookup::OrderLookup;
use super::order_response::{OrderBody, OrdersBody, StatusBody, from_row, listed, processing};
use crate::http::authenticate;
use crate::http::json::json;
use crate::http::pagination::Page;
use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::queries::{SelectMyOrders, SelectOrder};
use crate::sales::sale_view::SaleView;

/// Orders on a page, unless the client requests another number.
pub(crate) const PAGE_DEFAULT: i64 = 20;
/// Most orders on a page.
pub(crate) const PAGE_MAX: i64 = 100;

/// Handles `GET /v1/sales/{sale}/orders/{order}`.
pub(crate) async fn show(
    orders: OrderLookup<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &find(orders, context, sale, order).await?))
}

/// Handles `GET /v1/sales/{sale}/orders/{order}/status`.
pub(crate) async fn status(
    orders: OrderLookup<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Response, Problem> {
    let order = find(orders, context, sale, order).await?;
    let body = StatusBody::new(order.order_id, order.status, order.last_updated, context.language);
    Ok(json(StatusCode::OK, &body))
}

/// `GET /v1/sales/{sale}/orders/{order}/delivery`. An order has a delivery once it is paid.
pub(crate) async fn delivery(
    orders: OrderLookup<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Response, Problem> {
    let order = find(orders, context, sale, order).await?;
    match &order.delivery {
        Some(delivery) => Ok(json(StatusCode::OK, delivery)),
        None => {
            let detail = format!("The order is {} and has no delivery yet.", order.status.as_str());
            Err(Problem::because(Code::NotFound, detail).with("order_status", order.status.as_str()))
        }
    }
}

/// `GET /v1/sales/{sale}/orders?cursor=&limit=`: the newest orders first.
pub(crate) async fn list(
    orders: OrderLookup<'_>,
    context: RequestContext<'_>,
    sale: &str,
) -> Result<Response, Problem> {
    let RequestContext { head, language } = context;
    let customer = authenticate::customer(&head.headers)?;
    let view = orders.leases.find(sale)?;
    let Page { limit, before } = Page::parse(head, PAGE_DEFAULT, PAGE_MAX)?;
    let client = orders.pool.get().await?;
    let query = SelectMyOrders {
        sale_id: &view.publication.sale_id,
        customer_id: &customer,
        before_sequence: before.unwrap_or(i64::MAX),
        limit: limit + 1,
    };
    let (mut listed, next_cursor) = listed(&view, query.fetch(&client).await?, limit, language)?;

    // The newest orders may not be settled yet. Where the number of orders is not limited, Redis does not index
    // them by customer; each can still be found by its id.
    if before.is_none() && view.is_limited() {
        let field = customer.as_str().as_bytes().to_vec();
        if let Ok(remembered) = orders.remembered(&view, field).await {
            let settled: std::collections::HashSet<_> = listed.iter().map(|order| order.order_id).collect();
            let newest = listed.first().map_or(0, |order| order.sequence);
            let fresh = remembered
                .iter()
                .filter(|found| found.order.sequence.0 > newest && !settled.contains(&found.order.id));
            listed.splice(
                0..0,
                fresh.rev().map(|found| processing(&view, &customer, found, language)).collect::<Vec<_>>(),
            );
        }
    }
    Ok(json(StatusCode::OK, &OrdersBody { orders: listed, next_cursor }))
}

/// Returns the calling customer's order.
async fn find(
    orders: OrderLookup<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<OrderBody, Problem> {
    let (customer, view, id) = orders.identify(context, sale, order)?;
    let query = settled(orders.pool, &view, id, Some(&customer), context.language);
    let fresh = |found: &FoundOrder, _| processing(&view, &customer, found, context.language);
    orders.settled_or_remembered(&view, id, &customer, query, fresh).await
}

/// Returns an order as Postgres has it. `customer`: whose it must be; `None`: any customer's.
pub(crate) async fn settled(
    pool: &Pool,
    view: &SaleView,
    id: OrderId,
    customer: Option<&CustomerId>,
    language: Language,
) -> Result<Option<OrderBody>, Problem> {
    let client = pool.get().await?;
    let query = SelectOrder { order_id: id, sale_id: &view.publication.sale_id, customer };
    query.fetch(&client).await?.map(|row| from_row(view, row, language)).transpose()
}

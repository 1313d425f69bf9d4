//! Orders, as an operator searches them and moves their deliveries.

use contract::lifecycle::OrderStatus;
use contract::problem::Code;
use contract::record::{Action, DeliveryChange};
use hyper::StatusCode;
use hyper::body::Incoming;

use crate::command::{self, Commands};
use crate::http::json::json;
use crate::http::pagination::Page;
use crate::http::problem::Problem;
use crate::http::query_string::parameter;
use crate::http::request_body;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::queries::SelectOrders;
use crate::read::order_lookup::OrderLookup;
use crate::read::{order, order_response};

/// Orders on a page, unless the client requests another number.
pub(crate) const PAGE_DEFAULT: i64 = 50;
/// Most orders on a page.
pub(crate) const PAGE_MAX: i64 = 500;

/// `GET /admin/v1/sales/{sale}/orders?customer=&status=&cursor=&limit=`: the newest orders first.
pub(crate) async fn search(
    orders: OrderLookup<'_>,
    context: RequestContext<'_>,
    sale: &str,
) -> Result<Response, Problem> {
    let RequestContext { head, language } = context;
    let view = orders.leases.find(sale)?;
    let (customer, status) = (parameter(head, "customer")?, parameter(head, "status")?);
    let unknown = || {
        let names: Vec<_> = OrderStatus::ALL.iter().map(|status| status.as_str()).collect();
        let detail = format!("The query parameter status must be one of {}.", names.join(", "));
        Problem::because(Code::MalformedRequest, detail)
    };
    let in_status = status.map(|status| OrderStatus::parse(&status).ok_or_else(unknown)).transpose()?;
    let Page { limit, before } = Page::parse(head, PAGE_DEFAULT, PAGE_MAX)?;
    let client = orders.pool.get().await?;
    let query = SelectOrders {
        sale_id: &view.publication.sale_id,
        customer: customer.as_deref(),
        in_status,
        before_sequence: before.unwrap_or(i64::MAX),
        limit: limit + 1,
    };
    let rows = query.fetch(&client).await?;
    let (orders, next_cursor) = order_response::listed(&view, rows, limit, language)?;
    Ok(json(StatusCode::OK, &order_response::OrdersBody { orders, next_cursor }))
}

/// Handles `GET /admin/v1/sales/{sale}/orders/{order}`.
pub(crate) async fn show(
    orders: OrderLookup<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Response, Problem> {
    let (view, id) = orders.parse_path(sale, order)?;
    let order = order::settled(orders.pool, &view, id, None, context.language).await?;
    Ok(json(StatusCode::OK, &order.ok_or(Code::NotFound)?))
}

/// `PATCH /admin/v1/sales/{sale}/orders/{order}/delivery`: moves the delivery to this status, through all statuses
/// before it.
pub(crate) async fn deliver(
    commands: Commands<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
    body: Incoming,
) -> Result<Response, Problem> {
    let (view, id) = commands.orders.parse_path(sale, order)?;
    let body = request_body::read_json(&context.head.headers, body, request_body::BYTES_MAX).await?;
    let delivery: DeliveryChange = request_body::parse(&body)?;
    let order = commands.wait_for_order(&view, id, None).await?;
    let action = Action::Deliver(delivery);
    let response = command::recorded(&view, id, &action, context.language);
    if order.status == delivery.status {
        return Ok(response); // the delivery has this status already
    }
    if order.status.delivery_steps_to(delivery.status).is_none() {
        return Err(command::illegal_move(order.status));
    }
    commands.append(&view, id, None, action).await?;
    Ok(response)
}

//! Orders, as an operator looks for them and moves their goods.

use contract::lifecycle::OrderStatus;
use contract::problem::Code;
use contract::record::{Action, DeliveryChange};
use hyper::StatusCode;
use hyper::body::Incoming;

use crate::command;
use crate::http::json::json;
use crate::http::pagination::Page;
use crate::http::problem::Problem;
use crate::http::query_string::parameter;
use crate::http::request_body;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::read::{order, order_response, sale};

const ORDERS: &str = include_str!("../../queries/orders.sql");
/// Orders on a page.
pub(crate) const PAGE_DEFAULT: i64 = 50;
pub(crate) const PAGE_MAX: i64 = 500;

/// `GET /admin/v1/sales/{sale}/orders?customer=&status=&cursor=&limit=`: newest first.
pub(super) async fn search(call: RequestContext<'_>, sale: &str) -> Result<Response, Problem> {
    let RequestContext { gateway, head, language } = call;
    let view = sale::find(gateway, sale)?;
    let (customer, status) = (parameter(head, "customer")?, parameter(head, "status")?);
    if status.as_deref().is_some_and(|status| OrderStatus::parse(status).is_none()) {
        let names: Vec<_> = OrderStatus::ALL.iter().map(|status| status.as_str()).collect();
        let because = format!("The parameter status is one of {}.", names.join(", "));
        return Err(Problem::because(Code::MalformedRequest, because));
    }
    let Page { limit, before } = Page::parse(head, PAGE_DEFAULT, PAGE_MAX)?;
    let before = before.unwrap_or(i64::MAX);
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(ORDERS).await?;
    let sale_id = view.publication.sale_id.as_str();
    let rows = client.query(&statement, &[&sale_id, &customer, &status, &before, &(limit + 1)]).await?;
    let (orders, next_cursor) = order_response::listed(&view, &rows, limit, language)?;
    Ok(json(StatusCode::OK, &order_response::OrdersBody { orders, next_cursor }))
}

/// `GET /admin/v1/sales/{sale}/orders/{order}`.
pub(super) async fn one(call: RequestContext<'_>, sale: &str, order: &str) -> Result<Response, Problem> {
    let (view, id) = order::addressed(call.gateway, sale, order)?;
    order::any(call.gateway, &view, id, call.language).await
}

/// `PATCH /admin/v1/sales/{sale}/orders/{order}/delivery`: the goods have come so far, through all states
/// before it.
pub(super) async fn deliver(
    call: RequestContext<'_>,
    sale: &str,
    order: &str,
    body: Incoming,
) -> Result<Response, Problem> {
    let RequestContext { gateway, head, language } = call;
    let (view, id) = order::addressed(gateway, sale, order)?;
    let body = request_body::body(&head.headers, body, request_body::BODY_BYTES_MAX).await?;
    let goods: DeliveryChange = request_body::json(&body)?;
    let order = command::standing(gateway, &view, id, None).await?;
    let action = Action::Deliver(goods);
    let answer = command::recorded(&view, id, &action, language);
    if order.status == goods.status {
        return Ok(answer); // it has come so far already
    }
    if order.status.delivery_steps_to(goods.status).is_none() {
        return Err(command::illegal(order.status));
    }
    command::append(gateway, &view, id, None, action).await?;
    Ok(answer)
}

//! Queries: the sale from memory and the last look at Redis; orders from Postgres, and from Redis
//! while Postgres does not have them yet.

pub mod order;
pub mod order_response;
pub mod order_status_loader;
pub mod sale;
pub mod wallet;

use std::time::Duration;

use contract::problem::Code;

use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::route::Public;

/// A query takes no longer, whatever hangs.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Answers a query.
pub async fn answer(call: RequestContext<'_>, route: Public<'_>) -> Result<Response, Problem> {
    let answered = tokio::time::timeout(ANSWER_MAX, dispatch(call, route)).await;
    answered.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()))
}

async fn dispatch(call: RequestContext<'_>, route: Public<'_>) -> Result<Response, Problem> {
    let RequestContext { gateway, head, .. } = call;
    match route {
        Public::Sales => sale::all(gateway, head).await,
        Public::Sale { sale } => sale::one(gateway, sale, head).await,
        Public::Availability { sale, sku } => sale::availability(gateway, sale, sku, head).await,
        Public::MyOrders { sale } => order::mine(call, sale).await,
        Public::Order { sale, order } => order::one(call, sale, order).await,
        Public::OrderStatus { sale, order } => order::status(call, sale, order).await,
        Public::Delivery { sale, order } => order::delivery(call, sale, order).await,
        Public::Wallet => wallet::show(gateway, head).await,
        Public::Page
        | Public::Document
        | Public::Docs
        | Public::PlaceOrder { .. }
        | Public::CancelOrder { .. }
        | Public::PayOrder { .. }
        | Public::RefundOrder { .. }
        | Public::PaymentCallback
        | Public::OrderEvents { .. }
        | Public::OrderSocket { .. } => Err(Code::MethodNotAllowed.into()),
    }
}

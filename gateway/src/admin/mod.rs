//! The operator's side: sales and their states, stock side by side. Everything is stored in Postgres;
//! settlement publishes it to the gateways.

pub(crate) mod dead_letters;
pub(crate) mod define;
pub(crate) mod inventory;
pub(crate) mod orders;
pub mod overview;
pub(crate) mod report;
pub(crate) mod sale_response;
mod state;
mod totals;
pub(crate) mod wallet;

use std::time::Duration;

use contract::ids::SaleId;
use contract::problem::Code;
use contract::sale::SaleState;
use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use tokio_postgres::Row;

use crate::admin::sale_response::{SaleBody, SalesBody};
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::read;
use crate::read::order_response::told;
use crate::route::Admin;
use crate::sales::lease::Lease;
use crate::state::Gateway;

const SALES: &str = include_str!("../../queries/sales.sql");

/// A change takes no longer, whatever hangs: longer than it may wait for its body, and for settlement.
const CHANGE_MAX: Duration = Duration::from_secs(20);

/// Answers a call of the admin API.
pub async fn answer(call: RequestContext<'_>, route: Admin<'_>, body: Incoming) -> Result<Response, Problem> {
    let (limit, late) = match call.head.method {
        Method::GET | Method::HEAD => (read::ANSWER_MAX, Code::DatabaseUnavailable),
        _ => (CHANGE_MAX, Code::OutcomeUnknown),
    };
    let answered = tokio::time::timeout(limit, dispatch(call, route, body)).await;
    answered.unwrap_or_else(|_| Err(late.into()))
}

async fn dispatch(call: RequestContext<'_>, route: Admin<'_>, body: Incoming) -> Result<Response, Problem> {
    let RequestContext { gateway, head, .. } = call;
    match route {
        Admin::Overview => Ok(overview::show(gateway).await),
        Admin::Sales => all(gateway).await,
        Admin::PutSale { sale } => define::put(gateway, &sale_id(sale)?, head, body).await,
        Admin::Act { sale, action } => state::act(gateway, &sale_id(sale)?, action).await,
        Admin::DeadLetters => dead_letters::list(gateway, head).await,
        Admin::Decide { letter, verdict } => dead_letters::decide(gateway, letter, verdict).await,
        Admin::Inventory { sale } => inventory::show(gateway, &sale_id(sale)?).await,
        Admin::Report { sale } => report::show(gateway, &sale_id(sale)?).await,
        Admin::Orders { sale } => orders::search(call, sale).await,
        Admin::Order { sale, order } => orders::one(call, sale, order).await,
        Admin::Deliver { sale, order } => orders::deliver(call, sale, order, body).await,
        Admin::Page | Admin::Document | Admin::Docs => Err(Code::NotFound.into()), // served before anyone is asked who they are
        Admin::Credit { customer } => wallet::credit(gateway, customer, head, body).await,
    }
}

fn sale_id(text: &str) -> Result<SaleId, Problem> {
    SaleId::parse(text).map_err(|error| Problem::because(Code::InvalidSale, format!("sale_id: {error}")))
}

/// `GET /admin/v1/sales`: drafts too.
async fn all(gateway: &Gateway) -> Result<Response, Problem> {
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(SALES).await?;
    let rows = client.query(&statement, &[&None::<&str>]).await?;
    let lease = gateway.leases.load_full();
    let sales = rows.iter().map(|row| shown(row, &lease)).collect::<Result<_, _>>()?;
    Ok(json(StatusCode::OK, &SalesBody { sales }))
}

/// One sale, as the operator sees it after a change.
async fn one(gateway: &Gateway, sale: &SaleId, status: StatusCode) -> Result<Response, Problem> {
    let client = gateway.writes.get().await?;
    let statement = client.prepare_cached(SALES).await?;
    let row = client.query_opt(&statement, &[&Some(sale.as_str())]).await?.ok_or(Code::UnknownSale)?;
    Ok(json(status, &shown(&row, &gateway.leases.load())?))
}

/// As stored, and whether this gateway acts by it yet.
fn shown(row: &Row, lease: &Lease) -> Result<SaleBody, Problem> {
    let mut sale: SaleBody = told(row, "sale")?.ok_or(Code::Internal)?;
    let in_force = match lease.sale(sale.sale_id.as_str()).map(|view| &view.publication) {
        None => sale.state == SaleState::Draft,
        Some(known) => known.rank() == (sale.epoch, sale.version) && known.ready == sale.ready,
    };
    sale.in_force = lease.is_valid() && in_force;
    Ok(sale)
}

//! Reading sales with their definition and state, for operators.

use contract::ids::SaleId;
use contract::problem::Code;
use contract::sale::SaleState;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use tokio_postgres::Row;

use super::sale_response::{SaleBody, SalesBody};
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::read::order_response::json_column;
use crate::sales::lease::{Lease, Leases};

const SALES: &str = include_str!("../../queries/sales.sql");

/// Parses the name of a sale in a path.
pub(crate) fn parse_sale_id(text: &str) -> Result<SaleId, Problem> {
    SaleId::parse(text).map_err(|error| Problem::because(Code::InvalidSale, format!("sale_id: {error}")))
}

/// `GET /admin/v1/sales`: all sales, including drafts.
pub(crate) async fn list(pool: &Pool, leases: &Leases) -> Result<Response, Problem> {
    let client = pool.get().await?;
    let statement = client.prepare_cached(SALES).await?;
    let rows = client.query(&statement, &[&None::<&str>]).await?;
    let lease = leases.load_full();
    let sales = rows.iter().map(|row| body(row, &lease)).collect::<Result<_, _>>()?;
    Ok(json(StatusCode::OK, &SalesBody { sales }))
}

/// Returns one sale with this status, after a change.
pub(super) async fn show(
    pool: &Pool,
    leases: &Leases,
    sale: &SaleId,
    status: StatusCode,
) -> Result<Response, Problem> {
    let client = pool.get().await?;
    let statement = client.prepare_cached(SALES).await?;
    let row = client.query_opt(&statement, &[&Some(sale.as_str())]).await?.ok_or(Code::UnknownSale)?;
    Ok(json(status, &body(&row, &leases.load())?))
}

/// Returns a sale as stored, and whether this gateway acts on that version already.
fn body(row: &Row, lease: &Lease) -> Result<SaleBody, Problem> {
    let mut sale: SaleBody = json_column(row, "sale")?.ok_or(Code::Internal)?;
    let in_force = match lease.sale(sale.sale_id.as_str()).map(|view| &view.publication) {
        None => sale.state == SaleState::Draft,
        Some(published) => published.rank() == (sale.epoch, sale.version) && published.ready == sale.ready,
    };
    sale.in_force = lease.is_valid() && in_force;
    Ok(sale)
}

//! Reading sales with their definition and state, for operators.

use contract::ids::SaleId;
use contract::problem::Code;
use contract::sale::SaleState;
use deadpool_postgres::Pool;
use hyper::StatusCode;

use super::sale_response::{SaleBody, SalesBody};
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::queries::{SelectSales, SelectSalesRow};
use crate::read::stored_json::decode;
use crate::sales::lease::{Lease, Leases};

/// Parses the name of a sale in a path.
pub(crate) fn parse_sale_id(text: &str) -> Result<SaleId, Problem> {
    SaleId::parse(text).map_err(|error| Problem::because(Code::InvalidSale, format!("sale_id: {error}")))
}

/// `GET /admin/v1/sales`: all sales, including drafts.
pub(crate) async fn list(pool: &Pool, leases: &Leases) -> Result<Response, Problem> {
    let client = pool.get().await?;
    let rows = SelectSales { sale_id: None }.fetch(&client).await?;
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
    let rows = SelectSales { sale_id: Some(sale) }.fetch(&client).await?;
    let row = rows.first().ok_or(Code::UnknownSale)?;
    Ok(json(status, &body(row, &leases.load())?))
}

/// Returns a sale as stored, and whether this gateway acts on that version already.
fn body(row: &SelectSalesRow, lease: &Lease) -> Result<SaleBody, Problem> {
    let mut sale: SaleBody = decode(&row.sale, "sale")?;
    let in_force = match lease.sale(sale.sale_id.as_str()).map(|view| &view.publication) {
        None => sale.state == SaleState::Draft,
        Some(published) => published.rank() == (sale.epoch, sale.version) && published.ready == sale.ready,
    };
    sale.in_force = lease.is_valid() && in_force;
    Ok(sale)
}

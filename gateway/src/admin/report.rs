//! What became of a sale's orders: funnel, revenue, sell-out, pace, deliveries, as `analytics` has counted
//! them from the events. It follows the sale by a moment; `counted_at` tells by how long.

use contract::ids::SaleId;
use contract::problem::Code;
use hyper::StatusCode;
use serde_json::Value;

use crate::respond::{self, Answer, Problem};
use crate::run::Gateway;

const REPORT: &str = include_str!("../../queries/report.sql");

/// `GET /admin/v1/sales/{sale}/report`.
pub(super) async fn show(gateway: &Gateway, sale: &SaleId) -> Result<Answer, Problem> {
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(REPORT).await?;
    let row = client.query_opt(&statement, &[&sale.as_str()]).await?.ok_or(Code::UnknownSale)?;
    let report: Value = row.get(0);
    Ok(respond::json(StatusCode::OK, &report))
}

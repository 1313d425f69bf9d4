//! What became of a sale's orders: funnel, revenue, sell-out, pace, deliveries, as `analytics` has counted
//! them from the events. It follows the sale by a moment; `counted_at` tells by how long.

use contract::ids::SaleId;
use contract::ids::Sku;
use contract::money::Currency;
use contract::problem::Code;
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::read::order_response::told;

const REPORT: &str = include_str!("../../queries/report.sql");

/// What became of a sale's orders. Amounts are in the minor unit of `currency`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(crate) struct ReportBody {
    sale_id: SaleId,
    /// For people.
    title: String,
    state: SaleState,
    currency: Currency,
    opens_at: Option<Timestamp>,
    closes_at: Option<Timestamp>,
    /// Until when orders are counted; `null`: none was yet.
    counted_at: Option<Timestamp>,
    funnel: Funnel,
    revenue: Revenue,
    first_order_at: Option<Timestamp>,
    last_order_at: Option<Timestamp>,
    sell_out: SellOut,
    orders_per_second: Pace,
    /// By hours in which something was shipped or delivered, oldest first: the newest 168.
    deliveries: Vec<DeliveryHour>,
}

/// How many orders have come so far. An order that went on counts in each state that it was in.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Funnel {
    accepted: u64,
    payment_requested: u64,
    paid: u64,
    payment_failed: u64,
    /// Not paid before their hold ended.
    expired: u64,
    /// Given up for whatever other reason.
    cancelled: u64,
    shipped: u64,
    delivered: u64,
    refund_requested: u64,
    refunded: u64,
}

/// The money of a sale.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Revenue {
    /// Totals of orders when they were paid.
    captured: i64,
    /// Totals of paid orders when they were cancelled or refunded.
    returned: i64,
    /// captured - returned.
    net: i64,
}

/// How fast a sale was sold out.
#[derive(Serialize, Deserialize, JsonSchema)]
struct SellOut {
    /// When the last of all limited items was gone; `null`: something is left, or nothing is limited.
    sold_out_at: Option<Timestamp>,
    /// From the first order on.
    seconds: Option<f64>,
    /// The limited items.
    items: Vec<SoldOutItem>,
}

/// How fast an item was sold out.
#[derive(Serialize, Deserialize, JsonSchema)]
struct SoldOutItem {
    sku: Sku,
    /// Units for sale.
    total: u64,
    sold_out_at: Option<Timestamp>,
    /// From the sale's first order on.
    seconds: Option<f64>,
}

/// Orders accepted per second.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Pace {
    /// In the best second.
    peak: u64,
    /// From the first order to the last.
    average: f64,
    /// The newest 600 seconds in which something was ordered, oldest first.
    seconds: Vec<Second>,
}

/// One second of a sale.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Second {
    at: Timestamp,
    /// Orders.
    accepted: u64,
}

/// One hour of deliveries.
#[derive(Serialize, Deserialize, JsonSchema)]
struct DeliveryHour {
    /// Its beginning.
    hour: Timestamp,
    /// Orders.
    shipped: u64,
    /// Orders.
    delivered: u64,
    /// From payment to shipping, on average, of those shipped; `null`: none was.
    preparation_seconds: Option<f64>,
    /// From shipping to delivery, on average, of those delivered; `null`: none was shipped.
    delivery_seconds: Option<f64>,
}

/// `GET /admin/v1/sales/{sale}/report`.
pub(crate) async fn show(pool: &Pool, sale: &SaleId) -> Result<Response, Problem> {
    let client = pool.get().await?;
    let statement = client.prepare_cached(REPORT).await?;
    let row = client.query_opt(&statement, &[&sale.as_str()]).await?.ok_or(Code::UnknownSale)?;
    let report: ReportBody = told(&row, "report")?.ok_or(Code::Internal)?;
    Ok(json(StatusCode::OK, &report))
}

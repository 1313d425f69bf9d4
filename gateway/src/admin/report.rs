//! The report of a sale: funnel, revenue, sell-out time, order rate and deliveries, as `analytics` has computed them
//! from the events. It lags slightly behind the sale; `counted_at` shows by how much.

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

use super::sales::parse_sale_id;
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::queries::SelectReport;
use crate::read::stored_json::decode;

/// The report of a sale. Amounts are in the minor unit of `currency`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(crate) struct ReportBody {
    sale_id: SaleId,
    /// The title for people.
    title: String,
    state: SaleState,
    currency: Currency,
    opens_at: Option<Timestamp>,
    closes_at: Option<Timestamp>,
    /// The time up to which events are counted; `null` if none has been counted.
    counted_at: Option<Timestamp>,
    funnel: Funnel,
    revenue: Revenue,
    first_order_at: Option<Timestamp>,
    last_order_at: Option<Timestamp>,
    sell_out: SellOut,
    orders_per_second: OrderRate,
    /// The newest 168 hours in which an order was shipped or delivered, oldest first.
    deliveries: Vec<DeliveryHour>,
}

/// The number of orders that have reached each state. An order counts in every state that it has been in.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Funnel {
    accepted: u64,
    payment_requested: u64,
    paid: u64,
    payment_failed: u64,
    /// Orders that were not paid before their hold expired.
    expired: u64,
    /// Orders that were cancelled for any other reason.
    cancelled: u64,
    shipped: u64,
    delivered: u64,
    refund_requested: u64,
    refunded: u64,
}

/// The revenue of a sale.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Revenue {
    /// The sum of the totals of orders that were paid.
    captured: i64,
    /// The sum of the totals of paid orders that were cancelled or refunded.
    returned: i64,
    /// The difference captured - returned.
    net: i64,
}

/// The time until a sale was sold out.
#[derive(Serialize, Deserialize, JsonSchema)]
struct SellOut {
    /// When the last limited item was sold out; `null` if units remain or if no item is limited.
    sold_out_at: Option<Timestamp>,
    /// The seconds since the first order.
    seconds: Option<f64>,
    /// The sale's limited items.
    items: Vec<SoldOutItem>,
}

/// The time until an item was sold out.
#[derive(Serialize, Deserialize, JsonSchema)]
struct SoldOutItem {
    sku: Sku,
    /// The total number of units.
    total: u64,
    sold_out_at: Option<Timestamp>,
    /// The seconds since the sale's first order.
    seconds: Option<f64>,
}

/// The rate of accepted orders per second.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Pace")]
struct OrderRate {
    /// The highest number of orders in a second.
    peak: u64,
    /// The average from the first order to the last.
    average: f64,
    /// The newest 600 seconds with an accepted order, oldest first.
    seconds: Vec<Second>,
}

/// One second of a sale, with its orders.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Second {
    at: Timestamp,
    /// The number of accepted orders.
    accepted: u64,
}

/// One hour of deliveries and their durations.
#[derive(Serialize, Deserialize, JsonSchema)]
struct DeliveryHour {
    /// The start of the hour.
    hour: Timestamp,
    /// The number of orders shipped.
    shipped: u64,
    /// The number of orders delivered.
    delivered: u64,
    /// The average time from payment to shipping; `null` if no order was shipped.
    preparation_seconds: Option<f64>,
    /// The average time from shipping to delivery; `null` if no delivered order was shipped.
    delivery_seconds: Option<f64>,
}

/// Handles `GET /admin/v1/sales/{sale}/report`.
pub(crate) async fn show(pool: &Pool, sale: &str) -> Result<Response, Problem> {
    let sale = parse_sale_id(sale)?;
    let client = pool.get().await?;
    let row = SelectReport { sale_id: &sale }.fetch(&client).await?.ok_or(Code::UnknownSale)?;
    let report: ReportBody = decode(&row.report, "report")?;
    Ok(json(StatusCode::OK, &report))
}

//! A sale as customers see it, and the availability of an item. From memory; the remaining stock is the
//! last look's, at most 1 s old, or Postgres' where Redis cannot be looked at.

use std::collections::HashMap;

use bytes::Bytes;
use contract::ids::{SaleId, Sku};
use contract::problem::Code;
use contract::sale::{DiscountPolicy, SaleState, TOTAL_MAX};
use contract::timestamp::Timestamp;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use process::walltime;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::query_string::parameter;
use crate::http::response::{Response, full};
use crate::order::sale_queue::SaleQueues;
use crate::sales::lease::Leases;
use crate::sales::sale_view::SaleView;

const AVAILABLE: &str = include_str!("../../queries/available.sql");

/// What queries about sales need.
#[derive(Clone, Copy)]
pub struct SaleReads<'a> {
    /// The published sales.
    pub leases: &'a Leases,
    /// The stock caches.
    pub queues: &'a SaleQueues,
    /// Has the stock while Redis cannot be read.
    pub pool: &'a Pool,
}

/// A sale as customers see it. It sells when it is `open`, `ready`, and between `opens_at` and `closes_at`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sale")]
pub(crate) struct SaleBody<'a> {
    #[schemars(with = "SaleId")]
    sale_id: &'a str,
    /// For people.
    title: &'a str,
    /// What the operator wants of it; drafts are not shown.
    state: SaleState,
    /// Whether its stock can be sold from right now; while it is not, orders are answered 503 `sale_rebuilding`.
    ready: bool,
    /// No order before; `null`: open from the start.
    opens_at: Option<Timestamp>,
    /// No order from then on; `null`: until an operator closes it.
    closes_at: Option<Timestamp>,
    /// The time by which the window is kept, for countdowns. It does not count for the ETag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, with = "Timestamp")]
    server_time: Option<Timestamp>,
    /// Of every amount in the sale.
    currency: contract::money::Currency,
    /// Live orders a customer may have at once; `null`: any number.
    max_orders_per_customer: Option<u32>,
    /// In the minor unit; charged below `free_delivery_from`.
    delivery_fee: u64,
    /// The amount from which delivery is free, in the minor unit, tested after the discount; `null`: the fee is
    /// always charged.
    free_delivery_from: Option<u64>,
    /// Reductions that a customer may ask for, one an order.
    discount_policies: &'a [DiscountPolicy],
    items: Vec<ItemBody<'a>>,
}

/// An item as customers see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SaleItem")]
struct ItemBody<'a> {
    #[schemars(with = "Sku")]
    sku: &'a str,
    /// For people.
    name: &'a str,
    /// For one unit, in the minor unit.
    price: u64,
    /// Units for sale, sold ones included; `null`: unlimited.
    total: Option<u64>,
    /// Units left, at most 1 s old; `null`: unlimited.
    remaining: Option<u64>,
    /// Most units in one order.
    max_quantity_per_order: u32,
}

/// All sales that are not drafts, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sales")]
pub(crate) struct SalesBody<'a> {
    sales: Vec<SaleBody<'a>>,
}

/// Whether so many units can be had.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Availability")]
pub(crate) struct AvailabilityBody {
    /// Whether at least `quantity` units are left.
    available: bool,
    /// Units left, at most 1 s old; `null`: unlimited.
    remaining: Option<u64>,
}

/// `GET /v1/sales`: all that are not drafts, by name.
pub(crate) async fn list(sales: SaleReads<'_>, head: &Parts) -> Result<Response, Problem> {
    let lease = sales.leases.load_full();
    let mut views: Vec<_> = lease.sales.values().collect();
    views.sort_by(|a, b| a.publication.sale_id.cmp(&b.publication.sale_id));
    let mut remaining = Vec::with_capacity(views.len());
    for view in &views {
        remaining.push(sales.units_left(view).await?);
    }
    let pairs = || views.iter().zip(&remaining);
    let tagged: Vec<_> = pairs().map(|(view, remaining)| body(view, remaining, None)).collect();
    let now = walltime::now();
    let sales = pairs().map(|(view, remaining)| body(view, remaining, Some(now))).collect();
    tagged_answer(head, &tagged, &SalesBody { sales })
}

/// `GET /v1/sales/{sale}`.
pub(crate) async fn show(sales: SaleReads<'_>, sale: &str, head: &Parts) -> Result<Response, Problem> {
    let view = sales.leases.find(sale)?;
    let remaining = sales.units_left(&view).await?;
    tagged_answer(head, &body(&view, &remaining, None), &body(&view, &remaining, Some(walltime::now())))
}

/// `GET /v1/sales/{sale}/items/{sku}/availability?quantity=n`.
pub(crate) async fn availability(
    sales: SaleReads<'_>,
    sale: &str,
    sku: &str,
    head: &Parts,
) -> Result<Response, Problem> {
    let view = sales.leases.find(sale)?;
    let item = view.publication.terms.item(sku).ok_or(Code::NotFound)?;
    let quantity = match parameter(head, "quantity")? {
        None => 1,
        Some(text) => text.parse::<u64>().ok().filter(|n| (1..=TOTAL_MAX).contains(n)).ok_or_else(|| {
            let why = format!("The parameter quantity is a whole number, 1 to {TOTAL_MAX}.");
            Problem::because(Code::MalformedRequest, why)
        })?,
    };
    let remaining = match item.total {
        None => None,
        Some(_) => Some(sales.units_left(&view).await?.get(sku).copied().unwrap_or(0)),
    };
    let available = remaining.is_none_or(|remaining| remaining >= quantity);
    Ok(json(StatusCode::OK, &AvailabilityBody { available, remaining }))
}

impl SaleReads<'_> {
    /// Returns the units left of each limited item.
    async fn units_left(self, view: &SaleView) -> Result<HashMap<String, u64>, Problem> {
        let sale = &view.publication.sale_id;
        if let Some(queue) = self.queues.get(sale) {
            queue.stock.note_request();
            if let Some(snapshot) = queue.stock.recent_snapshot(view.epoch()) {
                return Ok(snapshot.units_left().map(|(sku, units)| (sku.to_string(), units)).collect());
            }
        }
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(AVAILABLE).await?;
        let rows = client.query(&statement, &[&sale.as_str()]).await?;
        Ok(rows.iter().map(|row| (row.get::<_, String>(0), row.get::<_, i64>(1).max(0) as u64)).collect())
    }
}

fn body<'a>(
    view: &'a SaleView,
    remaining: &HashMap<String, u64>,
    server_time: Option<Timestamp>,
) -> SaleBody<'a> {
    let publication = &view.publication;
    let terms = &publication.terms;
    let item = |item: &'a contract::sale::Item| ItemBody {
        sku: item.sku.as_str(),
        name: &item.name,
        price: item.price,
        total: item.total,
        remaining: item.total.map(|_| remaining.get(item.sku.as_str()).copied().unwrap_or(0)),
        max_quantity_per_order: item.max_quantity_per_order,
    };
    SaleBody {
        sale_id: publication.sale_id.as_str(),
        title: &terms.title,
        state: publication.state,
        ready: publication.ready,
        opens_at: terms.opens_at,
        closes_at: terms.closes_at,
        server_time,
        currency: terms.currency,
        max_orders_per_customer: terms.max_orders_per_customer,
        delivery_fee: terms.delivery_fee,
        free_delivery_from: terms.free_delivery_from,
        discount_policies: &terms.discount_policies,
        items: terms.items.iter().map(item).collect(),
    }
}

/// With an ETag over everything but the server's time, which differs each time.
fn tagged_answer(head: &Parts, tagged: &impl Serialize, whole: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(tagged).map_err(|_| Problem::from(Code::Internal))?;
    let digest = contract::ids::RequestDigest::compute(&bytes);
    let tag = format!("W/\"{:016x}\"", u64::from_be_bytes(digest.0));
    let known = head.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut answer = if known.split(',').any(|known| known.trim() == tag || known.trim() == "*") {
        let mut answer = Response::new(full(Bytes::new()));
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        json(StatusCode::OK, whole)
    };
    let tag = HeaderValue::from_str(&tag).map_err(|_| Problem::from(Code::Internal))?;
    answer.headers_mut().insert(ETAG, tag);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

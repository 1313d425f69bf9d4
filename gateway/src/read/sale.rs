//! A sale as customers see it, and the availability of an item. Both are answered from memory. The remaining stock
//! comes from the stock cache, at most 1 s old, or from Postgres if Redis cannot be read.

use std::collections::HashMap;

use bytes::Bytes;
use contract::ids::{SaleId, Sku};
use contract::problem::Code;
use contract::sale::{DiscountPolicy, SaleState, TOTAL_MAX};
use contract::timestamp::Timestamp;
use contract::wire;
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
use crate::queries::SelectAvailableUnits;
use crate::sales::lease::Leases;
use crate::sales::sale_view::SaleView;

/// The state that queries about sales need.
#[derive(Clone, Copy)]
pub struct SaleReads<'a> {
    /// The published sales.
    pub leases: &'a Leases,
    /// The stock caches.
    pub queues: &'a SaleQueues,
    /// The pool for reading the stock from Postgres while Redis cannot be read.
    pub pool: &'a Pool,
}

/// A sale as customers see it. It accepts orders while it is `open`, `ready`, and between `opens_at` and `closes_at`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sale")]
pub(crate) struct SaleBody<'a> {
    #[schemars(with = "SaleId")]
    sale_id: &'a str,
    /// The title for people.
    title: &'a str,
    /// The state set by the operator; drafts are not listed.
    state: SaleState,
    /// Whether the sale's state in Redis is ready; while it is not, orders get 503 `sale_rebuilding`.
    ready: bool,
    /// The start of the window; `null` means no lower bound.
    opens_at: Option<Timestamp>,
    /// The end of the window; `null` means until an operator closes the sale.
    closes_at: Option<Timestamp>,
    /// The server's current time, for countdowns. It does not affect the ETag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, with = "Timestamp")]
    server_time: Option<Timestamp>,
    /// The currency of every amount in the sale.
    currency: contract::money::Currency,
    /// The maximum number of live orders per customer; `null` means unlimited.
    max_orders_per_customer: Option<u32>,
    /// The delivery fee in the minor unit, charged below `free_delivery_from`.
    delivery_fee: u64,
    /// The amount from which delivery is free, in the minor unit, compared after the discount; `null` means that the fee
    /// is always charged.
    free_delivery_from: Option<u64>,
    /// The discounts that a customer may request, one per order.
    discount_policies: &'a [DiscountPolicy],
    items: Vec<ItemBody<'a>>,
}

/// An item as customers see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SaleItem")]
struct ItemBody<'a> {
    #[schemars(with = "Sku")]
    sku: &'a str,
    /// The name for people.
    name: &'a str,
    /// The price of one unit, in the minor unit.
    price: u64,
    /// The total number of units, including sold ones; `null` means unlimited.
    total: Option<u64>,
    /// The remaining units, at most 1 s old; `null` means unlimited.
    remaining: Option<u64>,
    /// The maximum number of units in one order.
    max_quantity_per_order: u32,
}

/// All sales that are not drafts, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sales")]
pub(crate) struct SalesBody<'a> {
    sales: Vec<SaleBody<'a>>,
}

/// The availability of an item.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Availability")]
pub(crate) struct AvailabilityBody {
    /// Whether at least `quantity` units remain.
    available: bool,
    /// The remaining units, at most 1 s old; `null` means unlimited.
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

/// Handles `GET /v1/sales/{sale}`.
pub(crate) async fn show(sales: SaleReads<'_>, sale: &str, head: &Parts) -> Result<Response, Problem> {
    let view = sales.leases.find(sale)?;
    let remaining = sales.units_left(&view).await?;
    tagged_answer(head, &body(&view, &remaining, None), &body(&view, &remaining, Some(walltime::now())))
}

/// Handles `GET /v1/sales/{sale}/items/{sku}/availability?quantity=n`.
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
            let why = format!("The query parameter quantity must be an integer from 1 to {TOTAL_MAX}.");
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
    /// Returns the remaining units of each limited item.
    async fn units_left(self, view: &SaleView) -> Result<HashMap<String, u64>, Problem> {
        let sale = &view.publication.sale_id;
        if let Some(queue) = self.queues.get(sale) {
            queue.stock.note_request();
            if let Some(snapshot) = queue.stock.recent_snapshot(view.epoch()) {
                return Ok(snapshot.units_left().map(|(sku, units)| (sku.to_string(), units)).collect());
            }
        }
        let client = self.pool.get().await?;
        let rows = SelectAvailableUnits { sale_id: sale }.fetch(&client).await?;
        Ok(rows.into_iter().map(|row| (row.sku.to_string(), row.available.max(0) as u64)).collect())
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

/// Responds with an ETag over everything but the server's time, which differs in every response.
fn tagged_answer(head: &Parts, tagged: &impl Serialize, whole: &impl Serialize) -> Result<Response, Problem> {
    let bytes = wire::encode(tagged);
    let digest = contract::ids::RequestDigest::compute(&bytes);
    let tag = format!("W/\"{:016x}\"", u64::from_be_bytes(digest.0));
    let cached = head.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut answer = if cached.split(',').any(|cached| cached.trim() == tag || cached.trim() == "*") {
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

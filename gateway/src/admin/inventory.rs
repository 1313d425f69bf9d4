//! The inventory of a sale: the stock in Postgres, the stock in Redis, and the difference.

use contract::ids::{Epoch, SaleId, Sku};
use contract::keys::SaleKeys;
use contract::problem::Code;
use contract::publication::ScriptDigests;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use lua::Redis;
use schemars::JsonSchema;
use serde::Serialize;

use super::sales::parse_sale_id;
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::queries::{SelectInventory, SelectInventoryRow};

/// The inventory of a sale.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Inventory")]
pub(crate) struct InventoryBody<'a> {
    sale_id: &'a SaleId,
    /// The epoch, which increases with each rebuild of the sale's state in Redis.
    epoch: Epoch,
    /// Whether the sale's state in Redis is ready for orders.
    ready: bool,
    items: Vec<StockBody>,
}

/// The stock of an item: total = database_available + held + sold + dead_lettered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Stock")]
struct StockBody {
    sku: Sku,
    /// The total number of units, including sold ones; `null` means unlimited.
    total: Option<i64>,
    /// The units available in Postgres; `null` means unlimited.
    database_available: Option<i64>,
    /// The units available in Redis, including announced ones; `null` if unlimited or currently unknown.
    redis_available: Option<i64>,
    /// The units of orders that are not paid yet.
    held: i64,
    /// The units of paid orders.
    sold: i64,
    /// The units of undecided dead letters.
    dead_lettered: i64,
    /// The difference redis_available - database_available, which is 0 at rest.
    drift: Option<i64>,
}

/// Handles `GET /admin/v1/sales/{sale}/inventory`.
pub(crate) async fn show(pool: &Pool, redis: &Redis, sale: &str) -> Result<Response, Problem> {
    let sale = &parse_sale_id(sale)?;
    let client = pool.get().await?;
    let rows = SelectInventory { sale_id: sale }.fetch(&client).await?;
    let first = rows.first().ok_or(Code::UnknownSale)?;
    let (epoch, ready) = (first.epoch, first.ready);
    let scripts = first.scripts.clone().and_then(|json| serde_json::from_value(json).ok());
    let skus: Vec<Sku> = rows.iter().map(|row| row.sku.clone()).collect();
    let redis = match scripts {
        Some(scripts) if ready => in_redis(redis, sale, epoch, &scripts, &skus).await,
        _ => None,
    };

    let items = rows
        .into_iter()
        .enumerate()
        .map(|(i, row)| {
            let SelectInventoryRow { sku, total, held, sold, dead_lettered, .. } = row;
            let database = total.map(|total| total - held - sold - dead_lettered);
            let redis = redis.as_ref().and_then(|stock| stock.get(i).copied().flatten());
            let drift = redis.zip(database).map(|(redis, database)| redis - database);
            StockBody {
                sku,
                total,
                database_available: database,
                redis_available: redis,
                held,
                sold,
                dead_lettered,
                drift,
            }
        })
        .collect();
    Ok(json(StatusCode::OK, &InventoryBody { sale_id: sale, epoch, ready, items }))
}

/// Returns the units of each SKU in Redis, including announced ones; `None` if they cannot be read.
async fn in_redis(
    redis: &Redis,
    sale: &SaleId,
    epoch: Epoch,
    scripts: &ScriptDigests,
    skus: &[Sku],
) -> Option<Vec<Option<i64>>> {
    let keys = SaleKeys::new(sale, epoch);
    let reply = lua::read_stock::read_stock(redis, &scripts.read_stock, &keys, skus.iter(), 0, false).await;
    let snapshot = reply.ok()?.ok()?;
    Some(
        snapshot
            .stock
            .iter()
            .map(|stock| stock.available.map(|units| (units + stock.returning) as i64))
            .collect(),
    )
}

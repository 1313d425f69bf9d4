//! Stock side by side: what Postgres says, what Redis says, and how far they are apart.

use contract::ids::{Epoch, SaleId, Sku};
use contract::keys::SaleKeys;
use contract::problem::Code;
use contract::publication::ScriptDigests;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::respond::{self, Answer, Problem};
use crate::run::Gateway;

const INVENTORY: &str = include_str!("../../queries/inventory.sql");

/// `GET /admin/v1/sales/{sale}/inventory`.
pub(super) async fn show(gateway: &Gateway, sale: &SaleId) -> Result<Answer, Problem> {
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(INVENTORY).await?;
    let rows = client.query(&statement, &[&sale.as_str()]).await?;
    let first = rows.first().ok_or(Code::UnknownSale)?;
    let epoch = Epoch(first.get::<_, i64>("epoch") as u64);
    let ready: bool = first.get("ready");
    let scripts = first.get::<_, Option<Value>>("scripts").and_then(|json| serde_json::from_value(json).ok());
    let skus: Vec<Sku> = rows.iter().filter_map(|row| Sku::parse(row.get("sku")).ok()).collect();
    let redis = match scripts {
        Some(scripts) if ready => in_redis(gateway, sale, epoch, &scripts, &skus).await,
        _ => None,
    };

    let items: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let total: Option<i64> = row.get("total");
            let (held, sold, dead): (i64, i64, i64) =
                (row.get("held"), row.get("sold"), row.get("dead_lettered"));
            let database = total.map(|total| total - held - sold - dead);
            let redis = redis.as_ref().and_then(|stock| stock.get(i).copied().flatten());
            let drift = redis.zip(database).map(|(redis, database)| redis - database);
            json!({
                "sku": row.get::<_, &str>("sku"), "total": total, "database_available": database,
                "redis_available": redis, "held": held, "sold": sold, "dead_lettered": dead, "drift": drift,
            })
        })
        .collect();
    Ok(respond::json(
        StatusCode::OK,
        &json!({ "sale_id": sale, "epoch": epoch, "ready": ready, "items": items }),
    ))
}

/// Units in Redis per SKU, those on their way back included; `None` where they cannot be told.
async fn in_redis(
    gateway: &Gateway,
    sale: &SaleId,
    epoch: Epoch,
    scripts: &ScriptDigests,
    skus: &[Sku],
) -> Option<Vec<Option<i64>>> {
    let keys = SaleKeys::new(sale, epoch);
    let looked = lua::look::look(&gateway.redis, &scripts.look, &keys, skus.iter(), 0, false).await;
    let look = looked.ok()?.ok()?;
    Some(
        look.stock
            .iter()
            .map(|stock| stock.available.map(|units| (units + stock.returning) as i64))
            .collect(),
    )
}

//! Stock side by side.

use contract::ids::SaleId;
use serde_json::Value;
use terminal::{Style, Table, styled, thousands};

use crate::api::{Api, Call};
use crate::arguments::{Act, Sure};
use crate::failure::Failure;
use crate::output::Reader;
use crate::sale;

/// `flashsale inventory`.
pub(crate) async fn show(
    api: &Api,
    reader: Reader,
    sale: &SaleId,
    sync: bool,
    yes: bool,
) -> Result<(), Failure> {
    if sync {
        sale::rebuilt(api, &Sure { act: Act { sale: sale.clone(), wait: Some(REBUILD_SECONDS) }, yes })
            .await?;
    }
    let stock: Value = api.call(Call::get(&["admin", "v1", "sales", sale.as_str(), "inventory"])).await?;
    reader.told(&stock, || drawn(&stock))
}

/// Longest wait for a rebuild that was asked for.
const REBUILD_SECONDS: f64 = 60.0;

fn drawn(stock: &Value) -> String {
    let number = |value: &Value| match value.as_i64() {
        Some(n) if n < 0 => format!("-{}", thousands(n.unsigned_abs())),
        Some(n) => thousands(n.unsigned_abs()),
        None => "–".to_owned(),
    };
    let mut table =
        Table::new(&["sku", "total", "in Postgres", "in Redis", "held", "sold", "dead letters", "drift"]);
    for item in stock["items"].as_array().into_iter().flatten() {
        let total = if item["total"].is_null() { "unlimited".into() } else { number(&item["total"]) };
        table.row([
            item["sku"].as_str().unwrap_or_default().to_owned(),
            total,
            number(&item["database_available"]),
            number(&item["redis_available"]),
            number(&item["held"]),
            number(&item["sold"]),
            number(&item["dead_lettered"]),
            number(&item["drift"]),
        ]);
    }
    let ready = match stock["ready"] == true {
        true => styled(Style::Good, "ready"),
        false => styled(Style::Bad, "not ready: Redis is not counted"),
    };
    format!("{}, epoch {}: {ready}\n{table}", stock["sale_id"].as_str().unwrap_or_default(), stock["epoch"])
}

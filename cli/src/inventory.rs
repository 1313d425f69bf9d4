//! The comparison of a sale's stock in Postgres and in Redis.

use contract::ids::SaleId;
use serde_json::Value;
use terminal::{Style, Table, styled, thousands};

use crate::api::{Api, Call};
use crate::arguments::{ActionOptions, ConfirmedActionOptions};
use crate::failure::Failure;
use crate::output::OutputFormat;
use crate::sale;

/// Runs `flashsale inventory`.
pub(crate) async fn show(
    api: &Api,
    output: OutputFormat,
    sale: &SaleId,
    sync: bool,
    yes: bool,
) -> Result<(), Failure> {
    if sync {
        let action = ActionOptions { sale: sale.clone(), wait: Some(REBUILD_SECONDS_MAX) };
        sale::rebuild(api, &ConfirmedActionOptions { action, yes }).await?;
    }
    let stock: Value = api.call(Call::get(&["admin", "v1", "sales", sale.as_str(), "inventory"])).await?;
    output.print(&stock, || render(&stock))
}

/// The timeout of a requested rebuild.
const REBUILD_SECONDS_MAX: f64 = 60.0;

fn render(stock: &Value) -> String {
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
        false => styled(Style::Bad, "not ready: units in Redis are not shown"),
    };
    format!("{}, epoch {}: {ready}\n{table}", stock["sale_id"].as_str().unwrap_or_default(), stock["epoch"])
}

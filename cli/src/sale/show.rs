//! Commands that list sales, show a sale or its report, and print the template.

use contract::ids::SaleId;
use serde_json::{Map, Value};
use terminal::{Table, heading, thousands};

use super::apply::terms_of;
use crate::api::{Api, Call};
use crate::definition;
use crate::failure::Failure;
use crate::output::{self, OutputFormat};

/// A sample definition that explains every field.
const TEMPLATE: &str = include_str!("template.toml");

/// Runs `flashsale sale list`.
pub(super) async fn list(api: &Api, output: OutputFormat) -> Result<(), Failure> {
    let body = super::fetch_all(api).await?;
    output.print(&body, || table(&body["sales"]))
}

/// Renders one line per sale.
fn table(sales: &Value) -> String {
    let mut table = Table::new(&["sale", "title", "state", "ready", "items", "units", "opens", "closes"]);
    for sale in sales.as_array().into_iter().flatten() {
        let text = |name: &str| sale[name].as_str().unwrap_or("–").to_owned();
        let items: Vec<_> = sale["items"].as_array().into_iter().flatten().collect();
        let units: u64 = items.iter().filter_map(|item| item["total"].as_u64()).sum();
        table.row([
            text("sale_id"),
            text("title"),
            text("state"),
            readiness(sale),
            items.len().to_string(),
            thousands(units),
            text("opens_at"),
            text("closes_at"),
        ]);
    }
    if table.is_empty() {
        "There are no sales yet. `flashsale sale template` shows how to define one.\n".into()
    } else {
        table.to_string()
    }
}

fn readiness(sale: &Value) -> String {
    match (&sale["rebuild"]["step"], &sale["ready"]) {
        (Value::String(step), _) => format!("rebuilding ({step})"),
        (_, ready) if *ready == true => "yes".into(),
        _ => "no".into(),
    }
}

/// Runs `flashsale sale show`.
pub(super) async fn show(
    api: &Api,
    output: OutputFormat,
    sale: &SaleId,
    definition: bool,
) -> Result<(), Failure> {
    let body = super::fetch(api, sale).await?;
    if !definition {
        return output.print(&body, || render(&body));
    }
    let invalid = |why: String| Failure::UnexpectedResponse { url: api.url().into(), why };
    let terms = terms_of(&body).ok_or_else(|| invalid(format!("the terms of {sale} cannot be decoded")))?;
    let json = definition::to_json(sale, &terms).map_err(|error| invalid(error.to_string()))?;
    let toml = definition::write_toml(sale, &terms).map_err(|error| invalid(error.to_string()))?;
    output.print(&json, || toml)
}

fn render(body: &Map<String, Value>) -> String {
    let whole = Value::Object(body.clone());
    let mut facts = Table::new(&["", ""]);
    for (name, value) in body {
        match value {
            Value::Array(_) | Value::Object(_) | Value::Null => {}
            Value::String(text) => drop(facts.row([name.clone(), text.clone()])),
            value => drop(facts.row([name.clone(), value.to_string()])),
        }
    }
    let mut text = facts.to_string();
    if !whole["rebuild"].is_null() {
        text += &format!("  rebuild: {}\n", whole["rebuild"]);
    }
    text += &heading("Items\n");
    let mut items = Table::new(&["sku", "name", "price", "total", "max per order"]);
    for item in whole["items"].as_array().into_iter().flatten() {
        let number = |name: &str| item[name].as_u64().map(thousands);
        items.row([
            item["sku"].as_str().unwrap_or_default().to_owned(),
            item["name"].as_str().unwrap_or_default().to_owned(),
            number("price").unwrap_or_default(),
            number("total").unwrap_or_else(|| "unlimited".into()),
            number("max_quantity_per_order").unwrap_or_default(),
        ]);
    }
    text += &items.to_string();
    let policies = whole["discount_policies"].as_array().into_iter().flatten();
    let mut discounts = Table::new(&["discount", "kind", "value", "min total", "max discount"]);
    for policy in policies {
        let number = |name: &str| policy[name].as_u64().map_or_else(|| "–".into(), thousands);
        discounts.row([
            policy["id"].as_str().unwrap_or_default().to_owned(),
            policy["kind"].as_str().unwrap_or_default().to_owned(),
            number("value"),
            number("min_total"),
            number("max_discount"),
        ]);
    }
    if !discounts.is_empty() {
        text += &heading("Discounts\n");
        text += &discounts.to_string();
    }
    text
}

/// Runs `flashsale sale template`.
pub(super) fn template(output: OutputFormat) -> Result<(), Failure> {
    match output {
        OutputFormat::Text => output::write(TEMPLATE),
        OutputFormat::Json => {
            let invalid = |faults| Failure::Invalid { name: "template".into(), faults };
            let definition = definition::read("template", TEMPLATE.into(), None).map_err(invalid)?;
            let json = definition::to_json(&definition.sale, &definition.terms);
            output.print(&json.map_err(|error| Failure::Output(error.into()))?, String::new)
        }
    }
}

/// Runs `flashsale sale report`.
pub(super) async fn report(api: &Api, output: OutputFormat, sale: &SaleId) -> Result<(), Failure> {
    let report: Value = api.call(Call::get(&["admin", "v1", "sales", sale.as_str(), "report"])).await?;
    output.print(&report, || render_report(&report))
}

fn render_report(report: &Value) -> String {
    let number = |value: &Value| value.as_u64().map_or_else(|| "–".into(), thousands);
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let currency = text(&report["currency"]);
    let mut out = format!(
        "{} ({}), counted at {}\n",
        text(&report["title"]),
        text(&report["state"]),
        text(&report["counted_at"])
    );
    out += &heading("Orders\n");
    let mut funnel = Table::new(&["", ""]);
    for name in [
        "accepted",
        "payment_requested",
        "paid",
        "payment_failed",
        "expired",
        "cancelled",
        "shipped",
        "delivered",
        "refund_requested",
        "refunded",
    ] {
        funnel.row([name.replace('_', " "), number(&report["funnel"][name])]);
    }
    out += &funnel.to_string();
    out += &heading(&format!("Revenue ({currency}, minor units)\n"));
    let mut revenue = Table::new(&["", ""]);
    for name in ["captured", "returned", "net"] {
        revenue.row([name.to_owned(), number(&report["revenue"][name])]);
    }
    out += &revenue.to_string();
    out += &heading("Sold out\n");
    let mut sold_out = Table::new(&["sku", "units", "sold out at", "seconds"]);
    for item in report["sell_out"]["items"].as_array().into_iter().flatten() {
        let seconds = item["seconds"].as_f64().map_or_else(|| "–".into(), |seconds| format!("{seconds:.1}"));
        sold_out.row([text(&item["sku"]), number(&item["total"]), text(&item["sold_out_at"]), seconds]);
    }
    out += &sold_out.to_string();
    let rate = &report["orders_per_second"];
    let average = rate["average"].as_f64().unwrap_or_default();
    out + &format!("\n  peak {} orders per second, average {average:.1}\n", number(&rate["peak"]))
}

#[cfg(test)]
mod tests {
    use super::TEMPLATE;
    use crate::definition;

    #[test]
    fn the_template_is_a_valid_definition_and_survives_a_round_trip() {
        let read = definition::read("template.toml", TEMPLATE.into(), None).unwrap();
        let written = definition::write_toml(&read.sale, &read.terms).unwrap();
        let again = definition::read("again.toml", written, None).unwrap();
        assert_eq!((again.sale, again.terms), (read.sale.clone(), read.terms.clone()));
        let json = definition::to_json(&read.sale, &read.terms).unwrap().to_string();
        assert_eq!(definition::read("again.json", json, None).unwrap().terms, read.terms);
    }
}

//! Sales as they are: a list, one of them, its report; and a template to begin with.

use contract::ids::SaleId;
use serde_json::{Map, Value};
use terminal::{Table, heading, thousands};

use super::apply::terms_of;
use crate::api::{Api, Call};
use crate::definition;
use crate::failure::Failure;
use crate::output::{self, Reader};

/// A definition with every field explained.
const TEMPLATE: &str = include_str!("template.toml");

/// `flashsale sale list`.
pub(super) async fn list(api: &Api, reader: Reader) -> Result<(), Failure> {
    let body = super::all(api).await?;
    reader.told(&body, || table(&body["sales"]))
}

/// Sales, one a line.
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
        "There is no sale yet: `flashsale sale template` shows how to define one.\n".into()
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

/// `flashsale sale show`.
pub(super) async fn one(api: &Api, reader: Reader, sale: &SaleId, definition: bool) -> Result<(), Failure> {
    let shown = super::existing(api, sale).await?;
    if !definition {
        return reader.told(&shown, || drawn(&shown));
    }
    let strange = |why: String| Failure::Strange { url: api.url().into(), why };
    let terms = terms_of(&shown).ok_or_else(|| strange(format!("the terms of {sale} cannot be read")))?;
    let json = definition::to_json(sale, &terms).map_err(|error| strange(error.to_string()))?;
    let toml = definition::write_toml(sale, &terms).map_err(|error| strange(error.to_string()))?;
    reader.told(&json, || toml)
}

fn drawn(shown: &Map<String, Value>) -> String {
    let whole = Value::Object(shown.clone());
    let mut facts = Table::new(&["", ""]);
    for (name, value) in shown {
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
    let mut items = Table::new(&["sku", "name", "price", "total", "at most"]);
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
    let mut discounts = Table::new(&["discount", "kind", "value", "from", "at most"]);
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

/// `flashsale sale template`.
pub(super) fn template(reader: Reader) -> Result<(), Failure> {
    match reader {
        Reader::Person => output::write(TEMPLATE),
        Reader::Program => {
            let invalid = |faults| Failure::Invalid { name: "template".into(), faults };
            let definition = definition::read("template", TEMPLATE.into(), None).map_err(invalid)?;
            let json = definition::to_json(&definition.sale, &definition.terms);
            reader.told(&json.map_err(|error| Failure::Output(error.into()))?, String::new)
        }
    }
}

/// `flashsale sale report`.
pub(super) async fn report(api: &Api, reader: Reader, sale: &SaleId) -> Result<(), Failure> {
    let report: Value = api.call(Call::get(&["admin", "v1", "sales", sale.as_str(), "report"])).await?;
    reader.told(&report, || told(&report))
}

fn told(report: &Value) -> String {
    let number = |value: &Value| value.as_u64().map_or_else(|| "–".into(), thousands);
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let currency = text(&report["currency"]);
    let mut out = format!(
        "{} ({}), counted {}\n",
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
    let mut gone = Table::new(&["sku", "units", "at", "seconds"]);
    for item in report["sell_out"]["items"].as_array().into_iter().flatten() {
        let seconds = item["seconds"].as_f64().map_or_else(|| "–".into(), |seconds| format!("{seconds:.1}"));
        gone.row([text(&item["sku"]), number(&item["total"]), text(&item["sold_out_at"]), seconds]);
    }
    out += &gone.to_string();
    let pace = &report["orders_per_second"];
    let average = pace["average"].as_f64().unwrap_or_default();
    out + &format!("\n  at most {} orders a second, {average:.1} on average\n", number(&pace["peak"]))
}

#[cfg(test)]
mod tests {
    use super::TEMPLATE;
    use crate::definition;

    #[test]
    fn the_template_is_a_definition_and_survives_being_written() {
        let read = definition::read("template.toml", TEMPLATE.into(), None).unwrap();
        let written = definition::write_toml(&read.sale, &read.terms).unwrap();
        let again = definition::read("again.toml", written, None).unwrap();
        assert_eq!((again.sale, again.terms), (read.sale.clone(), read.terms.clone()));
        let json = definition::to_json(&read.sale, &read.terms).unwrap().to_string();
        assert_eq!(definition::read("again.json", json, None).unwrap().terms, read.terms);
    }
}

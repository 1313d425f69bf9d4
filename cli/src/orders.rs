//! Commands that list orders, show an order, and advance its delivery.

use contract::ids::{OrderId, SaleId};
use contract::lifecycle::OrderStatus;
use contract::record::DeliveryChange;
use contract::wire;
use reqwest::Method;
use serde_json::Value;
use terminal::{Table, heading, thousands};

use crate::api::{Api, Call, Idempotency};
use crate::arguments::Orders;
use crate::failure::Failure;
use crate::output::OutputFormat;

/// Runs one of the commands `flashsale orders …`.
pub(crate) async fn run(command: Orders, api: &Api, output: OutputFormat) -> Result<(), Failure> {
    match command {
        Orders::List { sale, customer, status, limit, cursor } => {
            let path = ["admin", "v1", "sales", sale.as_str(), "orders"];
            let call = Call::get(&path)
                .with("customer", customer)
                .with("status", status.map(OrderStatus::as_str))
                .with("limit", Some(limit))
                .with("cursor", cursor);
            let page: Value = api.call(call).await?;
            output.print(&page, || render_list(&page))
        }
        Orders::Show { sale, order } => {
            let id = order.to_string();
            let order: Value =
                api.call(Call::get(&["admin", "v1", "sales", sale.as_str(), "orders", &id])).await?;
            output.print(&order, || render(&order))
        }
        Orders::Deliver { sale, order, status } => deliver(api, output, &sale, order, status).await,
    }
}

fn render_list(page: &Value) -> String {
    let mut table = Table::new(&["sequence", "order", "customer", "status", "updated", "total", ""]);
    for order in page["orders"].as_array().into_iter().flatten() {
        let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
        table.row([
            order["sequence"].as_u64().map(thousands).unwrap_or_default(),
            text("order_id"),
            text("customer_id"),
            text("status"),
            text("last_updated"),
            order["total"].as_u64().map(thousands).unwrap_or_default(),
            text("currency"),
        ]);
    }
    if table.is_empty() {
        return "No orders.\n".into();
    }
    let more = match page["next_cursor"].as_str() {
        Some(cursor) => format!("More results: --cursor {cursor}\n"),
        None => String::new(),
    };
    format!("{table}{more}")
}

fn render(order: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    let money = |name: &str| order[name].as_u64().map(thousands).unwrap_or_default();
    let mut facts = Table::new(&["", ""]);
    for name in
        ["order_id", "customer_id", "status", "sequence", "last_updated", "hold_expires_at", "currency"]
    {
        facts.row([name.to_owned(), text(&order[name])]);
    }
    for name in ["subtotal", "discount", "delivery_fee", "total"] {
        facts.row([name.to_owned(), money(name)]);
    }
    let mut out = facts.to_string();
    let mut lines = Table::new(&["sku", "quantity", "unit price"]);
    for line in order["lines"].as_array().into_iter().flatten() {
        let number = |name: &str| line[name].as_u64().map(thousands).unwrap_or_default();
        lines.row([text(&line["sku"]), number("quantity"), number("unit_price")]);
    }
    out += &heading("Lines\n");
    out += &lines.to_string();
    for part in ["payment", "delivery"] {
        let Some(members) = order[part].as_object() else { continue };
        let mut table = Table::new(&["", ""]);
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            table.row([name.clone(), text(value)]);
        }
        out += &heading(&format!("{part}\n"));
        out += &table.to_string();
    }
    let mut history = Table::new(&["at", "status", "reason"]);
    for entry in order["history"].as_array().into_iter().flatten() {
        history.row([
            text(&entry["at"]),
            text(&entry["status"]),
            entry["reason"].as_str().unwrap_or_default().into(),
        ]);
    }
    out + &heading("History\n") + &history.to_string()
}

async fn deliver(
    api: &Api,
    output: OutputFormat,
    sale: &SaleId,
    order: OrderId,
    status: OrderStatus,
) -> Result<(), Failure> {
    let id = order.to_string();
    let path = ["admin", "v1", "sales", sale.as_str(), "orders", &id, "delivery"];
    let body = wire::encode_value(&DeliveryChange { status });
    let response: Value =
        api.call(Call::new(Method::PATCH, &path, Idempotency::Idempotent).body(body)).await?;
    output.print(&response, || {
        format!("{id}: {} is recorded; `flashsale orders show` shows when it is settled\n", status.as_str())
    })
}

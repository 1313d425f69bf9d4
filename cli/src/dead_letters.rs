//! Commands that list dead letters and resolve them.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use terminal::Table;

use crate::api::{Api, Call, Idempotency};
use crate::arguments::DeadLetters;
use crate::confirm;
use crate::failure::Failure;
use crate::output::OutputFormat;

/// Runs one of the commands `flashsale dead-letters …`.
pub(crate) async fn run(command: DeadLetters, api: &Api, output: OutputFormat) -> Result<(), Failure> {
    match command {
        DeadLetters::List { sale, state, limit, cursor } => {
            let call = Call::get(&["admin", "v1", "dead-letters"])
                .with("sale", sale)
                .with("state", state)
                .with("limit", Some(limit))
                .with("cursor", cursor);
            let page: Value = api.call(call).await?;
            output.print(&page, || render_list(&page))
        }
        DeadLetters::Replay { id } => decide(api, output, id, "replay").await,
        DeadLetters::Discard { id, yes } => {
            confirm::require(
                yes,
                &format!("Discard dead letter {id} permanently? Its units return to stock."),
            )?;
            decide(api, output, id, "discard").await
        }
    }
}

fn render_list(page: &Value) -> String {
    let mut table = Table::new(&["id", "state", "reason", "sale", "at", "units", "resolution", "detail"]);
    for letter in page["dead_letters"].as_array().into_iter().flatten() {
        let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
        let units = letter["units"].as_object().into_iter().flatten();
        let units: Vec<_> = units.map(|(sku, units)| format!("{units} {sku}")).collect();
        table.row([
            letter["id"].to_string(),
            text("state"),
            text("reason"),
            text("sale_id"),
            text("at"),
            units.join(", "),
            text("resolution"),
            text("detail"),
        ]);
    }
    if table.is_empty() {
        return "No dead letters.\n".into();
    }
    let more = match page["next_cursor"].as_str() {
        Some(cursor) => format!("More results: --cursor {cursor}\n"),
        None => String::new(),
    };
    format!("{table}{more}")
}

/// Resolves a dead letter. This is not idempotent: a second decision is refused because the first is already recorded.
async fn decide(api: &Api, output: OutputFormat, id: u64, decision: &str) -> Result<(), Failure> {
    let id = id.to_string();
    let path = ["admin", "v1", "dead-letters", &id, decision];
    let (status, body) = api.send(Call::new(Method::POST, &path, Idempotency::NotIdempotent)).await?;
    let invalid = |error: serde_json::Error| Failure::UnexpectedResponse {
        url: api.url().into(),
        why: error.to_string(),
    };
    let letter: Value = serde_json::from_slice(&body).map_err(invalid)?;
    output.print(&letter, || {
        let state = letter["state"].as_str().unwrap_or_default();
        let resolution = letter["resolution"].as_str().map(|text| format!(" ({text})")).unwrap_or_default();
        match status {
            StatusCode::ACCEPTED => {
                format!("dead letter {id}: {decision} is recorded but not yet carried out\n")
            }
            _ => format!("dead letter {id}: {state}{resolution}\n"),
        }
    })
}

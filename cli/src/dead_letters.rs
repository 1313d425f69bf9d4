//! Records that could not be applied: listed, and decided about.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use terminal::Table;

use crate::api::{Api, Call, Repeat};
use crate::arguments::DeadLetters;
use crate::confirm;
use crate::failure::Failure;
use crate::output::Reader;

/// Runs one of the commands `flashsale dead-letters …`.
pub(crate) async fn run(command: DeadLetters, api: &Api, reader: Reader) -> Result<(), Failure> {
    match command {
        DeadLetters::List { sale, state, limit, cursor } => {
            let call = Call::get(&["admin", "v1", "dead-letters"])
                .with("sale", sale)
                .with("state", state)
                .with("limit", Some(limit))
                .with("cursor", cursor);
            let page: Value = api.call(call).await?;
            reader.told(&page, || listed(&page))
        }
        DeadLetters::Replay { id } => decide(api, reader, id, "replay").await,
        DeadLetters::Discard { id, yes } => {
            confirm::ask(yes, &format!("Give up dead letter {id} for good? Its units are sold again."))?;
            decide(api, reader, id, "discard").await
        }
    }
}

fn listed(page: &Value) -> String {
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
        return "No dead letter.\n".into();
    }
    let more = match page["next_cursor"].as_str() {
        Some(cursor) => format!("There are more: --cursor {cursor}\n"),
        None => String::new(),
    };
    format!("{table}{more}")
}

/// A decision counts once: a second one finds the letter decided, and is refused for that.
async fn decide(api: &Api, reader: Reader, id: u64, verdict: &str) -> Result<(), Failure> {
    let id = id.to_string();
    let path = ["admin", "v1", "dead-letters", &id, verdict];
    let (status, body) = api.answered(Call::new(Method::POST, &path, Repeat::Counts)).await?;
    let strange =
        |error: serde_json::Error| Failure::Strange { url: api.url().into(), why: error.to_string() };
    let letter: Value = serde_json::from_slice(&body).map_err(strange)?;
    reader.told(&letter, || {
        let state = letter["state"].as_str().unwrap_or_default();
        let resolution = letter["resolution"].as_str().map(|text| format!(" ({text})")).unwrap_or_default();
        match status {
            StatusCode::ACCEPTED => {
                format!("dead letter {id}: {verdict} is recorded and not carried out yet\n")
            }
            _ => format!("dead letter {id}: {state}{resolution}\n"),
        }
    })
}

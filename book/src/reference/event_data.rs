//! The data of each event, from its schema, with a whole message beside it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::{ReferenceError, cell, head};

/// A schema, and a message that follows it.
const EVENTS: [(&str, &str); 2] =
    [("order-event.v1", "order-events"), ("inventory-event.v1", "inventory-events")];

pub(super) fn page(root: &Path) -> Result<String, ReferenceError> {
    let mut page = head("Data of events", "contract/schemas/ and contract/fixtures/");
    page.push_str(
        "Which topics there are, what their headers mean and who follows them stands in [Events](../events.md). Amounts\n\
         are integers in the currency's minor unit.\n",
    );
    for (name, topic) in EVENTS {
        let path = root.join(format!("contract/schemas/{name}.json"));
        let text = read(&path)?;
        let schema: Value =
            serde_json::from_str(&text).map_err(|source| ReferenceError::Json { path, source })?;
        let message = read(&root.join(format!("contract/fixtures/{name}.txt")))?;
        let _ = write!(
            page,
            "\n## `{topic}`\n\n{}: [the schema](../../contract/schemas/{name}.json).\n\n| member | type | |\n|---|---|---|\n",
            schema["title"].as_str().unwrap_or(name)
        );
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (member, of) in schema["properties"].as_object().into_iter().flatten() {
            let mut words = Vec::new();
            if !required.contains(&member.as_str()) {
                words.push("Not always there.".to_owned());
            }
            words.extend(of["description"].as_str().map(cell));
            if let Some(values) = of["enum"].as_array() {
                let values: Vec<_> =
                    values.iter().filter_map(Value::as_str).map(|v| format!("`{v}`")).collect();
                words.push(values.join(", "));
            }
            let _ = writeln!(page, "| `{member}` | {} | {} |", type_of(of), words.join(" "));
        }
        let _ =
            write!(page, "\nA message, as key, headers and value:\n\n```text\n{}\n```\n", message.trim_end());
    }
    Ok(page)
}

fn type_of(schema: &Value) -> String {
    let mut words = match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "string".to_owned(),
    };
    if let Some(format) = schema["format"].as_str() {
        let _ = write!(words, " ({format})");
    }
    if let Some(minimum) = schema["minimum"].as_i64() {
        let _ = write!(words, " from {minimum}");
    }
    words
}

fn read(path: &Path) -> Result<String, ReferenceError> {
    std::fs::read_to_string(path).map_err(|source| ReferenceError::File { path: path.to_owned(), source })
}

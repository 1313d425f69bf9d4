//! The reference of event data, generated from the schemas, with a complete message for each.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::{ReferenceError, cell, head};

/// The schemas with their topics; a fixture of the same name is an example.
const EVENTS: [(&str, &str); 2] =
    [("order-event.v1", "order-events"), ("inventory-event.v1", "inventory-events")];

pub(super) fn page(root: &Path) -> Result<String, ReferenceError> {
    let mut page = head("Data of events", "contract/schemas/ and contract/fixtures/");
    page.push_str(
        "[Events](../events.md) describes the topics, their headers and their consumers. Amounts are integers in the currency's\n\
         minor unit.\n",
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
        for (member, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut words = Vec::new();
            if !required.contains(&member.as_str()) {
                words.push("Optional.".to_owned());
            }
            words.extend(property["description"].as_str().map(cell));
            if let Some(values) = property["enum"].as_array() {
                let values: Vec<_> =
                    values.iter().filter_map(Value::as_str).map(|v| format!("`{v}`")).collect();
                words.push(values.join(", "));
            }
            let _ = writeln!(page, "| `{member}` | {} | {} |", type_of(property), words.join(" "));
        }
        let _ = write!(
            page,
            "\nA message with key, headers and value:\n\n```text\n{}\n```\n",
            message.trim_end()
        );
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

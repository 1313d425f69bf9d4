//! The reference of the HTTP API, generated from the OpenAPI documents that the gateway serves. The gateway's own tests compare
//! them with its handlers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::{ReferenceError, cell, head};

/// The methods in the order of the page.
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// Returns the page of the public listener.
pub(super) fn public(root: &Path) -> Result<String, ReferenceError> {
    page(
        root,
        "public.json",
        "Public API",
        "The API for storefronts, on the public listener (`GATEWAY_URL`). The OpenAPI document is served there as \
         `/openapi.json`. Every error is a [problem document](errors.md).",
        |_| true,
    )
}

/// Returns the page of the admin listener, without the public calls that it serves, too.
pub(super) fn admin(root: &Path) -> Result<String, ReferenceError> {
    page(
        root,
        "admin.json",
        "Admin API",
        "The API for operators, Prometheus and health checks, on the admin listener (`ADMIN_URL`). This listener also serves \
         the [public API](public-api.md), which is not repeated here. The OpenAPI document is served as `/openapi.json`, \
         and `/docs` displays it with a form for each call.",
        |path| !path.starts_with("/v1/"),
    )
}

fn page(
    root: &Path,
    file: &str,
    title: &str,
    introduction: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<String, ReferenceError> {
    let path = root.join("gateway/openapi").join(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|source| ReferenceError::File { path: path.clone(), source })?;
    let document: Value =
        serde_json::from_str(&text).map_err(|source| ReferenceError::Json { path, source })?;
    let mut page = head(title, &format!("gateway/openapi/{file}"));
    let _ = writeln!(page, "{introduction}");
    let mut schemas = BTreeMap::new();
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = tag["name"].as_str().unwrap_or_default();
        let mut calls = String::new();
        for (path, operations) in members(&document["paths"]).filter(|(path, _)| wanted(path)) {
            for method in METHODS {
                let operation = &operations[method];
                if operation["tags"][0] == name {
                    call(&mut calls, method, path, operation, &mut schemas);
                }
            }
        }
        if !calls.is_empty() {
            let _ =
                write!(page, "\n## {name}\n\n{}\n{calls}", tag["description"].as_str().unwrap_or_default());
        }
    }
    let known = &document["components"]["schemas"];
    page.push_str("\n## Types\n");
    // A schema may refer to others, which are listed, too.
    let mut shown = BTreeMap::new();
    while let Some((name, ())) = schemas.pop_first() {
        if let Entry::Vacant(place) = shown.entry(name) {
            let mut text = String::new();
            schema(&mut text, place.key(), &known[place.key()], &mut schemas);
            place.insert(text);
        }
    }
    shown.values().for_each(|text| page.push_str(text));
    Ok(page)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn call(page: &mut String, method: &str, path: &str, operation: &Value, schemas: &mut BTreeMap<String, ()>) {
    let _ = write!(page, "\n### {} `{path}`\n", method.to_uppercase());
    let summary = operation["summary"].as_str().unwrap_or_default();
    let _ = write!(page, "\n**{summary}.** {}\n", operation["description"].as_str().unwrap_or_default());
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    if !parameters.is_empty() {
        page.push_str("\n| parameter | in | type | |\n|---|---|---|---|\n");
    }
    for parameter in parameters {
        let required =
            if parameter["required"] == true && parameter["in"] != "path" { "Required. " } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {required}{} |",
            parameter["name"].as_str().unwrap_or_default(),
            parameter["in"].as_str().unwrap_or_default(),
            type_of(&parameter["schema"], schemas),
            cell(parameter["description"].as_str().unwrap_or_default()),
        );
    }
    let body = &operation["requestBody"];
    for (format, content) in members(&body["content"]) {
        let description = body["description"].as_str().unwrap_or_default();
        let _ = write!(
            page,
            "\nBody, `{format}`: {}. {}\n",
            type_of(&content["schema"], schemas),
            cell(description)
        );
        for (_, example) in members(&content["examples"]).take(1) {
            let text = serde_json::to_string_pretty(&example["value"]).unwrap_or_default();
            let _ = write!(page, "\n```json\n{text}\n```\n");
        }
    }
    page.push_str("\n| status | body | |\n|---|---|---|\n");
    for (status, response) in members(&operation["responses"]) {
        let bodies: Vec<String> = members(&response["content"])
            .map(|(format, content)| match format.as_str() {
                "application/problem+json" => "[problem](errors.md)".to_owned(),
                "application/json" => type_of(&content["schema"], schemas),
                other => format!("`{other}`"),
            })
            .collect();
        let description = response["description"].as_str().unwrap_or_default();
        let codes: Vec<&str> =
            description.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next()).collect();
        let description = match codes.is_empty() {
            true => cell(description),
            false => codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", "),
        };
        let _ = writeln!(page, "| {status} | {} | {description} |", bodies.join(", "));
    }
}

fn schema(page: &mut String, name: &str, node: &Value, schemas: &mut BTreeMap<String, ()>) {
    let _ = write!(page, "\n### Type {name}\n");
    if let Some(description) = node["description"].as_str() {
        let _ = write!(page, "\n{description}\n");
    }
    let properties: Map<String, Value> = node["properties"].as_object().cloned().unwrap_or_default();
    if properties.is_empty() {
        let _ = write!(page, "\n{}{}\n", type_of(node, schemas), bounds(node));
        return;
    }
    let required: Vec<&str> =
        node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str("\n| member | type | |\n|---|---|---|\n");
    for (member, value) in &properties {
        let optional = if required.contains(&member.as_str()) { "" } else { "Optional. " };
        let description = value["description"].as_str().unwrap_or_default();
        let _ = writeln!(
            page,
            "| `{member}` | {} | {optional}{}{} |",
            type_of(value, schemas),
            cell(description),
            bounds(value)
        );
    }
}

/// Describes the limits of a schema.
fn bounds(node: &Value) -> String {
    let mut words = Vec::new();
    for (key, word) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "minimum length"),
        ("maxLength", "maximum length"),
        ("minItems", "minimum number"),
        ("maxItems", "maximum number"),
        ("pattern", "pattern"),
        ("default", "default"),
    ] {
        match &node[key] {
            Value::Null => {}
            Value::String(text) => words.push(format!("{word} `{}`", text.replace('|', "\\|"))),
            value => words.push(format!("{word} {value}")),
        }
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

/// Describes a type, with a link if it has a name.
fn type_of(node: &Value, schemas: &mut BTreeMap<String, ()>) -> String {
    if let Some(name) = node["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        schemas.insert(name.to_owned(), ());
        return format!("[{name}](#type-{})", name.to_lowercase());
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(all) = node[several].as_array() {
            let mut words: Vec<_> = all.iter().map(|one| type_of(one, schemas)).collect();
            words.dedup();
            return words.join(" or ");
        }
    }
    if let Some(values) = node["enum"].as_array() {
        let words: Vec<_> = values
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`")))
            .collect();
        return words.join(", ");
    }
    if let Some(value) = node["const"].as_str() {
        return format!("`{value}`");
    }
    let named = |name: &str| match name {
        "array" => "array of ".to_owned(),
        name => name.to_owned(),
    };
    let mut words = match &node["type"] {
        Value::String(one) => named(one),
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).map(named).collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_owned(),
    };
    if node["items"].is_object() {
        words.push_str(&type_of(&node["items"], schemas));
    }
    match node["format"].as_str() {
        Some(format) if format.starts_with("int") || format.starts_with("uint") => {}
        Some(format) => {
            let _ = write!(words, " ({format})");
        }
        None => {}
    }
    words
}

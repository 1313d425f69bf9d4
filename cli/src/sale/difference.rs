//! The differences between two definitions, by field. Items and policies are matched by their ids, not by position.

use std::collections::BTreeMap;

use contract::sale::SaleTerms;
use contract::wire;
use serde::Serialize;
use serde_json::Value;
use terminal::{Style, styled};

/// A field that differs; a value is `None` if the field does not exist.
#[derive(Debug, Serialize, PartialEq)]
pub(super) struct Change {
    /// The path of the field, such as `items.MUG.price`.
    pub(super) field: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// Returns all changes, sorted by field.
pub(super) fn between(before: Option<&SaleTerms>, after: &SaleTerms) -> Vec<Change> {
    let mut before = before.map(fields).unwrap_or_default();
    let mut changes = vec![];
    for (field, after) in fields(after) {
        let before = before.remove(&field);
        if before.as_ref() != Some(&after) {
            changes.push(Change { field, before, after: Some(after) });
        }
    }
    changes.extend(before.into_iter().map(|(field, value)| Change {
        field,
        before: Some(value),
        after: None,
    }));
    changes.sort_by(|a, b| a.field.cmp(&b.field));
    changes
}

fn fields(terms: &SaleTerms) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    flatten("", wire::encode_value(terms), &mut all);
    all
}

fn flatten(name: &str, value: Value, all: &mut BTreeMap<String, Value>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(members) => {
            members.into_iter().for_each(|(key, value)| flatten(&below(&key), value, all))
        }
        Value::Array(list) => {
            for value in list {
                let id =
                    ["sku", "id"].iter().find_map(|id| value[*id].as_str()).unwrap_or_default().to_owned();
                flatten(&below(&id), value, all);
            }
        }
        value => {
            all.insert(name.to_owned(), value);
        }
    }
}

/// Renders one line per change: removals in red, additions in green.
pub(super) fn render(changes: &[Change]) -> String {
    let mut text = String::new();
    for Change { field, before, after } in changes {
        let line = match (before, after) {
            (Some(before), Some(after)) => {
                format!("  ~ {field}: {before} → {}", styled(Style::Bold, &after.to_string()))
            }
            (None, Some(after)) => styled(Style::Good, &format!("  + {field}: {after}")),
            (before, None) => {
                styled(Style::Bad, &format!("  - {field}: {}", before.as_ref().unwrap_or(&Value::Null)))
            }
        };
        text += &line;
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(items: Value) -> SaleTerms {
        serde_json::from_value(serde_json::json!({ "title": "T", "currency": "KRW", "items": items }))
            .unwrap()
    }

    #[test]
    fn items_are_compared_by_id_and_not_by_position() {
        let item = |sku: &str, price: u64| serde_json::json!({ "sku": sku, "name": sku, "price": price, "total": 5 });
        let before = terms(serde_json::json!([item("A", 1), item("B", 2)]));
        assert_eq!(between(Some(&before), &terms(serde_json::json!([item("B", 2), item("A", 1)]))), []);
        let changes = between(Some(&before), &terms(serde_json::json!([item("B", 3)])));
        let named: Vec<_> = changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(
            named,
            [
                "items.A.max_quantity_per_order",
                "items.A.name",
                "items.A.price",
                "items.A.sku",
                "items.A.total",
                "items.B.price"
            ]
        );
        assert_eq!(render(&changes[5..]), "  ~ items.B.price: 2 → 3\n");
    }
}

//! The JSON Schemas describe the events exactly: the event of each status is valid, anything else is rejected.

#![allow(clippy::unwrap_used)] // tests

use std::path::Path;

use contract::event::OrderEvent;
use contract::lifecycle::{CancelReason, OrderStatus};
use serde_json::{Value, json};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&read(&format!("schemas/{name}"))).unwrap()
}

/// Returns the data of a fixture, which follows the empty line.
fn data(fixture: &str) -> Value {
    serde_json::from_str(read(&format!("fixtures/{fixture}")).split_once("\n\n").unwrap().1).unwrap()
}

/// Validates a value with the subset of JSON Schema that the documents use. Panics on an unknown keyword.
fn is_valid(schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, says)| match keyword.as_str() {
        "$schema" | "title" | "description" | "format" => true,
        "additionalProperties" => {
            let known = schema["properties"].as_object().unwrap();
            says == &json!(false) && value.as_object().unwrap().keys().all(|name| known.contains_key(name))
        }
        "required" => says.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
        "properties" => {
            let properties = says.as_object().unwrap().iter();
            properties
                .filter_map(|(name, of)| Some((of, value.get(name)?)))
                .all(|(of, value)| is_valid(of, value))
        }
        "enum" => says.as_array().unwrap().contains(value),
        "minimum" => value.as_u64() >= says.as_u64(),
        "type" => {
            let is = |kind: &Value| match kind.as_str().unwrap() {
                "object" => value.is_object(),
                "string" => value.is_string(),
                "integer" => value.is_u64(),
                "null" => value.is_null(),
                other => panic!("the type {other}"),
            };
            says.as_array().map_or_else(|| is(says), |kinds| kinds.iter().any(is))
        }
        other => panic!("the keyword {other}"),
    })
}

#[test]
fn the_event_of_every_status_is_valid() {
    let schema = schema("order-event.v1.json");
    let event: OrderEvent = serde_json::from_value(data("order-event.v1.txt")).unwrap();
    for status in OrderStatus::ALL {
        let reasons = CancelReason::ALL.map(Some).into_iter().chain([None]);
        for cancel_reason in reasons {
            let event_json =
                serde_json::to_value(OrderEvent { status, cancel_reason, ..event.clone() }).unwrap();
            // Before it is settled an order has no events.
            assert_eq!(is_valid(&schema, &event_json), status != OrderStatus::Processing, "{event_json}");
        }
    }
    for name in schema["required"].as_array().unwrap() {
        let mut event_json = data("order-event.v1.txt");
        event_json.as_object_mut().unwrap().remove(name.as_str().unwrap());
        assert!(serde_json::from_value::<OrderEvent>(event_json).is_err(), "{name} is required");
    }
    let mut more = data("order-event.v1.txt");
    more["surprise"] = json!(1);
    assert!(!is_valid(&schema, &more));
}

#[test]
fn stock_movements_are_valid() {
    let (schema, event_json) = (schema("inventory-event.v1.json"), data("inventory-event.v1.txt"));
    assert!(is_valid(&schema, &event_json));
    assert!(!is_valid(&schema, &json!({"sku": "A"})));
}

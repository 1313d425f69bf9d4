//! The schema documents say what the events are: each state's event fits, and what they do not say is refused.

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

/// The data of a fixture: what stands behind the empty line.
fn data(fixture: &str) -> Value {
    serde_json::from_str(read(&format!("fixtures/{fixture}")).split_once("\n\n").unwrap().1).unwrap()
}

/// As much of JSON Schema as the documents use. An unknown keyword is a fault of this reader.
fn fits(schema: &Value, value: &Value) -> bool {
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
                .all(|(of, value)| fits(of, value))
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
fn events_fit_their_schemas_in_every_state() {
    let schema = schema("order-event.v1.json");
    let event: OrderEvent = serde_json::from_value(data("order-event.v1.txt")).unwrap();
    for status in OrderStatus::ALL {
        let reasons = CancelReason::ALL.map(Some).into_iter().chain([None]);
        for cancel_reason in reasons {
            let told = serde_json::to_value(OrderEvent { status, cancel_reason, ..event.clone() }).unwrap();
            // Before it is settled an order has no events.
            assert_eq!(fits(&schema, &told), status != OrderStatus::Processing, "{told}");
        }
    }
    for name in schema["required"].as_array().unwrap() {
        let mut told = data("order-event.v1.txt");
        told.as_object_mut().unwrap().remove(name.as_str().unwrap());
        assert!(serde_json::from_value::<OrderEvent>(told).is_err(), "{name} is required");
    }
    let mut more = data("order-event.v1.txt");
    more["surprise"] = json!(1);
    assert!(!fits(&schema, &more));
}

#[test]
fn stock_movements_fit_their_schema() {
    let (schema, told) = (schema("inventory-event.v1.json"), data("inventory-event.v1.txt"));
    assert!(fits(&schema, &told));
    assert!(!fits(&schema, &json!({"sku": "A"})));
}

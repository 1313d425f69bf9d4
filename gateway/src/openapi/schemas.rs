//! The schemas of the handlers' types as serde writes and reads them. Responses and requests differ in which members
//! are required, so each has its own generator.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

const SCHEMAS: &str = "#/components/schemas/";
/// The temporary location of request schemas, until it is known which of them differ from the response schemas.
const REQUESTS: &str = "#/components/read/";
/// The suffix of the names of those that differ.
const REQUEST_SUFFIX: &str = "Input";

/// The collected schemas of a document.
pub(crate) struct Schemas {
    responses: SchemaGenerator,
    requests: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = |path: &str| {
            let mut settings = SchemaSettings::draft2020_12().with_transform(Enumerations);
            settings.definitions_path = path.trim_start_matches('#').to_owned().into();
            settings
        };
        Self {
            responses: settings(SCHEMAS).for_serialize().into_generator(),
            requests: settings(REQUESTS).for_deserialize().into_generator(),
        }
    }

    /// Returns the schema of a type in a response.
    pub(super) fn response<T: JsonSchema + ?Sized>(&mut self) -> Value {
        self.responses.subschema_for::<T>().to_value()
    }

    /// Returns the schema of a type in a request.
    pub(super) fn request<T: JsonSchema + ?Sized>(&mut self) -> Value {
        self.requests.subschema_for::<T>().to_value()
    }

    /// Adds the schemas to the document that refers to them.
    pub(super) fn finish(mut self, document: &mut Value) {
        let mut schemas = self.responses.take_definitions(true);
        let requests: Map<String, Value> = self.requests.take_definitions(true);
        let relocated = |schema: &Value| {
            let mut schema = schema.clone();
            rewrite_references(&mut schema, &|name| name.into());
            schema
        };
        let differs = |name: &str| {
            schemas.get(name).is_some_and(|response| {
                requests.get(name).is_some_and(|request| relocated(request) != *response)
            })
        };
        let different: Vec<String> = requests.keys().filter(|name| differs(name)).cloned().collect();
        let renamed = |name: &str| match different.iter().any(|different| different == name) {
            true => format!("{name}{REQUEST_SUFFIX}"),
            false => name.into(),
        };
        for (name, mut schema) in requests {
            rewrite_references(&mut schema, &renamed);
            schemas.insert(renamed(&name), schema);
        }
        rewrite_references(document, &renamed);
        document["components"]["schemas"] = Value::Object(schemas);
    }
}

/// Rewrites references to request schemas to their final location.
fn rewrite_references(json: &mut Value, renamed: &dyn Fn(&str) -> String) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(to) if name == "$ref" => {
                        if let Some(name) = to.strip_prefix(REQUESTS) {
                            *to = format!("{SCHEMAS}{}", renamed(name));
                        }
                    }
                    value => rewrite_references(value, renamed),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rewrite_references(value, renamed)),
        _ => {}
    }
}

/// Writes a `oneOf` of constant strings as an `enum`, which every tool shows, and moves the meaning of each into the
/// description.
#[derive(Clone)]
struct Enumerations;

impl Transform for Enumerations {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else { return };
        let text_of = |choice: &Value, name: &str| choice.get(name)?.as_str().map(str::to_owned);
        let constants: Option<Vec<_>> = choices
            .iter()
            .map(|choice| {
                Some((text_of(choice, "const")?, text_of(choice, "description").unwrap_or_default()))
            })
            .collect();
        let Some(constants) = constants else { return };
        let names: Vec<_> = constants.iter().map(|(name, _)| name).collect();
        let meanings: Vec<_> =
            constants.iter().map(|(name, text)| format!("- `{name}`: {}", text.replace('\n', " "))).collect();
        let head = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = format!("{head}\n\n{}", meanings.join("\n"));
        let (names, description) = (json!(names), json!(description));
        schema.remove("oneOf");
        schema.insert("type".into(), "string".into());
        schema.insert("enum".into(), names);
        schema.insert("description".into(), description);
    }
}

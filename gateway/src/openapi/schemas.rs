//! Schemas of the handlers' own types, by what serde does with them: what is told and what is read differ in
//! which members are required, so each has a generator.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

const TOLD: &str = "#/components/schemas/";
/// Where schemas of what is read lie until it is known which differ from those of what is told.
const READ: &str = "#/components/read/";
/// Behind the name of those that do.
const DIFFERENT: &str = "Input";

/// The schemas of a document, being collected.
pub(super) struct Schemas {
    told: SchemaGenerator,
    read: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = |path: &str| {
            let mut settings = SchemaSettings::draft2020_12().with_transform(Enumerations);
            settings.definitions_path = path.trim_start_matches('#').to_owned().into();
            settings
        };
        Self {
            told: settings(TOLD).for_serialize().into_generator(),
            read: settings(READ).for_deserialize().into_generator(),
        }
    }

    /// Of what a handler answers with.
    pub(super) fn told<T: JsonSchema + ?Sized>(&mut self) -> Value {
        self.told.subschema_for::<T>().to_value()
    }

    /// Of what a handler reads.
    pub(super) fn read<T: JsonSchema + ?Sized>(&mut self) -> Value {
        self.read.subschema_for::<T>().to_value()
    }

    /// Puts the schemas into the document that refers to them.
    pub(super) fn finish(mut self, document: &mut Value) {
        let mut schemas = self.told.take_definitions(true);
        let read: Map<String, Value> = self.read.take_definitions(true);
        let same_place = |schema: &Value| {
            let mut schema = schema.clone();
            refer(&mut schema, &|name| name.into());
            schema
        };
        let differs = |name: &str| {
            schemas.get(name).is_some_and(|told| read.get(name).is_some_and(|read| same_place(read) != *told))
        };
        let different: Vec<String> = read.keys().filter(|name| differs(name)).cloned().collect();
        let renamed = |name: &str| match different.iter().any(|different| different == name) {
            true => format!("{name}{DIFFERENT}"),
            false => name.into(),
        };
        for (name, mut schema) in read {
            refer(&mut schema, &renamed);
            schemas.insert(renamed(&name), schema);
        }
        refer(document, &renamed);
        document["components"]["schemas"] = Value::Object(schemas);
    }
}

/// Leads references to schemas of what is read to where they lie in the end.
fn refer(json: &mut Value, renamed: &dyn Fn(&str) -> String) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(to) if name == "$ref" => {
                        if let Some(read) = to.strip_prefix(READ) {
                            *to = format!("{TOLD}{}", renamed(read));
                        }
                    }
                    value => refer(value, renamed),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| refer(value, renamed)),
        _ => {}
    }
}

/// Writes a choice of texts as `enum`, which every tool shows, and what each means into its description.
#[derive(Clone)]
struct Enumerations;

impl Transform for Enumerations {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else { return };
        let text_of = |choice: &Value, name: &str| choice.get(name)?.as_str().map(str::to_owned);
        let told: Option<Vec<_>> = choices
            .iter()
            .map(|choice| {
                Some((text_of(choice, "const")?, text_of(choice, "description").unwrap_or_default()))
            })
            .collect();
        let Some(told) = told else { return };
        let names: Vec<_> = told.iter().map(|(name, _)| name).collect();
        let meanings: Vec<_> =
            told.iter().map(|(name, text)| format!("- `{name}`: {}", text.replace('\n', " "))).collect();
        let head = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = format!("{head}\n\n{}", meanings.join("\n"));
        let (names, description) = (json!(names), json!(description));
        schema.remove("oneOf");
        schema.insert("type".into(), "string".into());
        schema.insert("enum".into(), names);
        schema.insert("description".into(), description);
    }
}

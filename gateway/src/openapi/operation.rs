//! One operation of a document, in the words of OpenAPI: parameters by the names in its path, answers by the
//! types that handlers answer with, refusals by their codes.

use std::collections::BTreeMap;

use contract::ids::{CustomerId, IDEMPOTENCY_KEY_BYTES_MAX, OrderId, SaleId, Sku};
use contract::lifecycle::Language;
use contract::problem::Code;
use hyper::Method;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::problem::ProblemBody;
use super::schemas::Schemas;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// Who may call.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Anybody.
    Anyone,
    /// A customer.
    Customer,
    /// A customer, also one whose browser cannot set headers.
    Stream,
    /// An operator.
    Operator,
}

/// An operation, being written.
pub(super) struct Operation<'s> {
    pub(super) method: Method,
    pub(super) path: &'static str,
    schemas: &'s mut Schemas,
    json: Map<String, Value>,
    parameters: Vec<Value>,
    responses: BTreeMap<String, Value>,
    refusals: Vec<Code>,
}

impl<'s> Operation<'s> {
    /// `id`: its name in programs, the same as its label in metrics where it has one.
    pub(super) fn new(
        schemas: &'s mut Schemas,
        method: Method,
        path: &'static str,
        id: &str,
        tag: &str,
        access: Access,
    ) -> Self {
        let mut json = Map::new();
        json.insert("operationId".into(), id.into());
        json.insert("tags".into(), json!([tag]));
        json.insert(
            "security".into(),
            match access {
                Access::Anyone => json!([]),
                Access::Customer => json!([{ "customer": [] }]),
                Access::Stream => json!([{ "customer": [] }, { "access_token": [] }]),
                Access::Operator => json!([{ "operator": [] }]),
            },
        );
        let mut operation = Self {
            method,
            path,
            schemas,
            json,
            parameters: vec![],
            responses: BTreeMap::new(),
            refusals: match access {
                Access::Anyone => vec![],
                _ => vec![Code::Unauthenticated, Code::Forbidden],
            },
        };
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            operation.path_parameter(name);
        }
        operation
    }

    fn path_parameter(&mut self, name: &str) {
        let (schema, text) = match name {
            "sale" => (self.schemas.told::<SaleId>(), "The sale."),
            "sku" => (self.schemas.told::<Sku>(), "The item."),
            "order" => (self.schemas.told::<OrderId>(), "The order, by the id that its 202 told."),
            "customer" => (self.schemas.told::<CustomerId>(), "The customer."),
            "letter" => (json!({ "type": "integer", "format": "int64", "minimum": 1 }), "The dead letter."),
            _ => (json!({ "type": "string" }), ""),
        };
        let parameter =
            json!({ "name": name, "in": "path", "required": true, "schema": schema, "description": text });
        self.parameters.push(parameter);
    }

    /// What it does: in a line, and at length.
    pub(super) fn does(mut self, summary: &str, description: &str) -> Self {
        self.json.insert("summary".into(), summary.into());
        self.json.insert("description".into(), description.into());
        self
    }

    /// An optional parameter of the query string.
    pub(super) fn query(self, name: &str, schema: Value, description: &str) -> Self {
        self.parameter("query", name, false, schema, description)
    }

    /// A header of the request.
    pub(super) fn header(self, name: &str, required: bool, schema: Value, description: &str) -> Self {
        self.parameter("header", name, required, schema, description)
    }

    fn parameter(mut self, place: &str, name: &str, required: bool, schema: Value, text: &str) -> Self {
        let mut parameter = json!({ "name": name, "in": place, "schema": schema, "description": text });
        if required {
            parameter["required"] = true.into();
        }
        self.parameters.push(parameter);
        self
    }

    /// The client's name for the request.
    pub(super) fn idempotent(self, scope: &str) -> Self {
        let schema = json!({
            "type": "string", "pattern": format!("^[!-~]{{1,{IDEMPOTENCY_KEY_BYTES_MAX}}}$"),
            "examples": ["4f1c6f1e-order-1"],
        });
        let text = format!(
            "The client's name for this request, in visible ASCII characters; scope: {scope}. The same request \
             again, with the same key, gets the first answer."
        );
        self.header("Idempotency-Key", true, schema, &text)
    }

    /// The parameters of a page.
    pub(super) fn paged(self, default: i64, max: i64) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default });
        let digits = format!("^[0-9]{{1,{}}}$", crate::http::pagination::CURSOR_DIGITS_MAX);
        self.query("limit", limit, "How many at most.").query(
            "cursor",
            json!({ "type": "string", "pattern": digits }),
            "The `next_cursor` of the page before; the first page has none.",
        )
    }

    /// The JSON that it reads, at most so many bytes.
    pub(super) fn reads<T: JsonSchema>(mut self, bytes_max: usize, examples: Value) -> Self {
        let schema = self.schemas.read::<T>();
        self.json.insert(
            "requestBody".into(),
            json!({
                "required": true,
                "description": format!("At most {bytes_max} bytes."),
                "content": { JSON: { "schema": schema, "examples": examples } },
            }),
        );
        self.refuses(&[Code::TooLarge, Code::UnsupportedMediaType, Code::MalformedRequest])
    }

    /// The JSON that it answers with.
    pub(super) fn answers<T: JsonSchema>(self, status: u16, description: &str) -> Self {
        let schema = self.schemas.told::<T>();
        self.answer(status, description, Some((JSON, schema)))
    }

    /// An answer in another form, or without a body.
    pub(super) fn answer(mut self, status: u16, description: &str, body: Option<(&str, Value)>) -> Self {
        let mut response = json!({ "description": description });
        if let Some((media_type, schema)) = body {
            response["content"] = json!({ media_type: { "schema": schema } });
        }
        self.responses.insert(status.to_string(), response);
        self
    }

    /// A type that is told in another way than as a body: its schema stands among the others.
    pub(super) fn describes<T: JsonSchema>(self) -> Self {
        self.schemas.told::<T>();
        self
    }

    /// A header of one answer.
    pub(super) fn with_header(mut self, status: u16, name: &str, header: &str) -> Self {
        let reference = json!({ "$ref": format!("#/components/headers/{header}") });
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            response["headers"][name] = reference;
        }
        self
    }

    /// What can be done next with an answer: operations, with their parameters by expressions.
    pub(super) fn leads_to(mut self, status: u16, operations: &[&str], parameters: Value) -> Self {
        let links: Map<String, Value> = operations
            .iter()
            .map(|id| ((*id).into(), json!({ "operationId": id, "parameters": parameters })))
            .collect();
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            response["links"] = Value::Object(links);
        }
        self
    }

    /// The problems that it may answer with.
    pub(super) fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend(codes);
        self
    }

    /// Into the document.
    pub(super) fn finish(mut self, paths: &mut Map<String, Value>) {
        if !self.refusals.is_empty() {
            self.refusals.push(Code::Internal);
            self = self.header(
                "Accept-Language",
                false,
                json!({ "type": "string", "examples": ["ko-KR,ko;q=0.9,en;q=0.8"] }),
                "The language of texts for people: Korean or English, whichever stands first. Codes never change.",
            );
        }
        self.refusals.sort_by_key(|code| Code::ALL.iter().position(|known| known == code));
        self.refusals.dedup();
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in &self.refusals {
            by_status.entry(code.status()).or_default().push(*code);
        }
        let problem = self.schemas.told::<ProblemBody>();
        for (status, codes) in by_status {
            self.responses.insert(status.to_string(), refusal(&problem, &codes));
        }
        if !self.parameters.is_empty() {
            self.json.insert("parameters".into(), Value::Array(self.parameters));
        }
        self.json.insert("responses".into(), json!(self.responses));
        let item = paths.entry(self.path).or_insert_with(|| json!({}));
        item[self.method.as_str().to_ascii_lowercase()] = Value::Object(self.json);
    }
}

/// The answer of one status, by its codes.
fn refusal(problem: &Value, codes: &[Code]) -> Value {
    let lines: Vec<_> = codes
        .iter()
        .map(|code| format!("- `{}`: {}", code.as_str(), code.title(Language::English)))
        .collect();
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let schema = json!({ "allOf": [problem], "properties": { "code": { "enum": names } } });
    let mut response =
        json!({ "description": lines.join("\n"), "content": { PROBLEM: { "schema": schema } } });
    if codes.iter().any(|code| code.retry_after_seconds().is_some()) {
        response["headers"]["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
    }
    if codes.contains(&Code::Unauthenticated) {
        response["headers"]["WWW-Authenticate"] = json!({ "$ref": "#/components/headers/WwwAuthenticate" });
    }
    response
}

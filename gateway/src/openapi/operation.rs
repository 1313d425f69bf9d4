//! The builder of one operation of an OpenAPI document: parameters from the names in its path, responses from the
//! types that handlers return, and problems from their codes.

use std::collections::BTreeMap;

use contract::ids::{CustomerId, IDEMPOTENCY_KEY_BYTES_MAX, OrderId, SaleId, Sku};
use contract::lifecycle::Language;
use contract::problem::Code;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::problem::ProblemBody;
use super::schemas::Schemas;
use crate::http::authenticate::Access;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// An operation under construction.
pub(crate) struct Operation<'s> {
    method: &'static str,
    path: &'static str,
    schemas: &'s mut Schemas,
    json: Map<String, Value>,
    parameters: Vec<Value>,
    responses: BTreeMap<String, Value>,
    refusals: Vec<Code>,
}

impl<'s> Operation<'s> {
    /// Starts an operation. `method` is in lower case; `id` is the operation's identifier in client code.
    pub(crate) fn new(
        schemas: &'s mut Schemas,
        method: &'static str,
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
            "sale" => (self.schemas.response::<SaleId>(), "The sale ID."),
            "sku" => (self.schemas.response::<Sku>(), "The SKU of the item."),
            "order" => (self.schemas.response::<OrderId>(), "The order ID from the 202 response."),
            "customer" => (self.schemas.response::<CustomerId>(), "The customer ID."),
            "letter" => {
                (json!({ "type": "integer", "format": "int64", "minimum": 1 }), "The dead letter ID.")
            }
            _ => (json!({ "type": "string" }), ""),
        };
        let parameter =
            json!({ "name": name, "in": "path", "required": true, "schema": schema, "description": text });
        self.parameters.push(parameter);
    }

    /// Sets the summary and the description.
    pub(crate) fn does(mut self, summary: &str, description: &str) -> Self {
        self.json.insert("summary".into(), summary.into());
        self.json.insert("description".into(), description.into());
        self
    }

    /// Adds an optional query parameter.
    pub(crate) fn query(self, name: &str, schema: Value, description: &str) -> Self {
        self.parameter("query", name, false, schema, description)
    }

    /// Adds a request header.
    pub(crate) fn header(self, name: &str, required: bool, schema: Value, description: &str) -> Self {
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

    /// Adds the required header `Idempotency-Key`.
    pub(crate) fn idempotent(self, scope: &str) -> Self {
        let schema = json!({
            "type": "string", "pattern": format!("^[!-~]{{1,{IDEMPOTENCY_KEY_BYTES_MAX}}}$"),
            "examples": ["4f1c6f1e-order-1"],
        });
        let text = format!(
            "The client's identifier of this request, in visible ASCII characters, unique per {scope}. Repeating the \
             request with the same key returns the original response."
        );
        self.header("Idempotency-Key", true, schema, &text)
    }

    /// Adds the pagination parameters.
    pub(crate) fn paged(self, default: i64, max: i64) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default });
        let digits = format!("^[0-9]{{1,{}}}$", crate::http::pagination::CURSOR_DIGITS_MAX);
        self.query("limit", limit, "The maximum number of results.").query(
            "cursor",
            json!({ "type": "string", "pattern": digits }),
            "The `next_cursor` of the previous page; omit it for the first page.",
        )
    }

    /// Adds the JSON request body and its size limit in bytes.
    pub(crate) fn reads<T: JsonSchema>(mut self, bytes_max: usize, examples: Value) -> Self {
        let schema = self.schemas.request::<T>();
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

    /// Adds a response with a JSON body.
    pub(crate) fn answers<T: JsonSchema>(self, status: u16, description: &str) -> Self {
        let schema = self.schemas.response::<T>();
        self.answer(status, description, Some((JSON, schema)))
    }

    /// Adds a response with another kind of body, or without a body.
    pub(crate) fn answer(mut self, status: u16, description: &str, body: Option<(&str, Value)>) -> Self {
        let mut response = json!({ "description": description });
        if let Some((media_type, schema)) = body {
            response["content"] = json!({ media_type: { "schema": schema } });
        }
        self.responses.insert(status.to_string(), response);
        self
    }

    /// Adds the schema of a type that is sent in another way than as a body.
    pub(crate) fn describes<T: JsonSchema>(self) -> Self {
        self.schemas.response::<T>();
        self
    }

    /// Adds a header to the response of one status.
    pub(crate) fn with_header(mut self, status: u16, name: &str, header: &str) -> Self {
        let reference = json!({ "$ref": format!("#/components/headers/{header}") });
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            response["headers"][name] = reference;
        }
        self
    }

    /// Adds the conditional request headers and the 304 response.
    pub(crate) fn conditional(self) -> Self {
        self.header(
            "If-None-Match",
            false,
            json!({ "type": "string" }),
            "The `ETag` of the client's cached response. If nothing but `server_time` differs, the response is 304.",
        )
        .answer(304, "The resource has not changed.", None)
        .with_header(200, "ETag", "ETag")
        .with_header(304, "ETag", "ETag")
    }

    /// Adds links from a response to operations, whose parameters are runtime expressions.
    pub(crate) fn leads_to(mut self, status: u16, operations: &[&str], parameters: Value) -> Self {
        let links: Map<String, Value> = operations
            .iter()
            .map(|id| ((*id).into(), json!({ "operationId": id, "parameters": parameters })))
            .collect();
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            response["links"] = Value::Object(links);
        }
        self
    }

    /// Adds the problem codes that the operation may respond with.
    pub(crate) fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend(codes);
        self
    }

    /// Adds the operation to the paths of the document.
    pub(crate) fn finish(mut self, paths: &mut Map<String, Value>) {
        if !self.refusals.is_empty() {
            self.refusals.push(Code::Internal);
            self = self.header(
                "Accept-Language",
                false,
                json!({ "type": "string", "examples": ["ko-KR,ko;q=0.9,en;q=0.8"] }),
                "The preferred language of human-readable texts: Korean or English. Codes do not depend on it.",
            );
        }
        self.refusals.sort_by_key(|code| Code::ALL.iter().position(|other| other == code));
        self.refusals.dedup();
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in &self.refusals {
            by_status.entry(code.status()).or_default().push(*code);
        }
        let problem = self.schemas.response::<ProblemBody>();
        for (status, codes) in by_status {
            self.responses.insert(status.to_string(), problem_response(&problem, &codes));
        }
        if !self.parameters.is_empty() {
            self.json.insert("parameters".into(), Value::Array(self.parameters));
        }
        self.json.insert("responses".into(), json!(self.responses));
        let item = paths.entry(self.path).or_insert_with(|| json!({}));
        item[self.method] = Value::Object(self.json);
    }
}

/// Returns the response of one status, with its problem codes.
fn problem_response(problem: &Value, codes: &[Code]) -> Value {
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

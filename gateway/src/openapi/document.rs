//! Builds a document from the endpoints' declarations.

use std::sync::LazyLock;

use bytes::Bytes;
use contract::problem::Code;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::schemas::Schemas;
use crate::http::authenticate::Access;
use crate::http::response::{Response, encoded_json};

/// The listeners that a document covers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The operations of the public listener.
    Public,
    /// The operations of both listeners.
    All,
}

/// What the document says about one endpoint.
pub(crate) struct Described {
    /// The method, in lower case.
    pub(crate) method: &'static str,
    /// The pattern of the path.
    pub(crate) path: &'static str,
    /// The operation's identifier.
    pub(crate) name: &'static str,
    /// The operation's group.
    pub(crate) tag: &'static str,
    /// Who may call.
    pub(crate) access: Access,
    /// Whether the operation is refused until the sales have been read.
    pub(crate) may_be_starting: bool,
    /// Describes the operation.
    pub(crate) describe: for<'s> fn(Operation<'s>) -> Operation<'s>,
}

/// A document, which is built when it is requested first.
pub(crate) struct Document {
    text: LazyLock<Bytes, Box<dyn FnOnce() -> Bytes + Send>>,
}

impl Document {
    /// Returns a document whose text `build` returns.
    pub(crate) fn new(build: fn() -> String) -> Self {
        Self { text: LazyLock::new(Box::new(move || build().into())) }
    }

    /// Returns the response with the document.
    pub(crate) fn response(&self) -> Response {
        encoded_json(StatusCode::OK, Bytes::clone(&self.text))
    }
}

/// Returns a document as it is served and as it is stored in `openapi/`.
pub(crate) fn encode(document: &Value) -> String {
    format!("{document:#}\n")
}

/// Builds the document of the public listener.
pub(crate) fn public_document(public: &[Described]) -> Value {
    let mut schemas = Schemas::new();
    let paths = paths(&mut schemas, public);
    assemble(Part::Public, paths, schemas)
}

/// Builds the document of both listeners.
pub(crate) fn complete_document(public: &[Described], admin: &[Described]) -> Value {
    let mut schemas = Schemas::new();
    let mut all = paths(&mut schemas, public);
    all.retain(|path, _| path.starts_with("/v1/")); // each listener has its own other paths
    for item in all.values_mut() {
        item["servers"] = json!([{
            "url": "{public}", "description": "The public listener.",
            "variables": { "public": { "default": "http://127.0.0.1:8080" } },
        }]);
    }
    all.extend(paths(&mut schemas, admin));
    assemble(Part::All, all, schemas)
}

fn paths(schemas: &mut Schemas, endpoints: &[Described]) -> Map<String, Value> {
    let mut paths = Map::new();
    for endpoint in endpoints {
        let Described { method, path, name, tag, access, may_be_starting, describe } = *endpoint;
        let operation = describe(Operation::new(schemas, method, path, name, tag, access));
        let starting: &[Code] = if may_be_starting { &[Code::Starting] } else { &[] };
        operation.refuses(starting).finish(&mut paths);
    }
    paths
}

fn assemble(part: Part, paths: Map<String, Value>, schemas: Schemas) -> Value {
    let mut document = head(part);
    document["paths"] = Value::Object(paths);
    schemas.finish(&mut document);
    document
}

fn head(part: Part) -> Value {
    let (title, text) = match part {
        Part::Public => ("Flash sale: the public API", "The API for storefronts."),
        Part::All => (
            "Flash sale: the complete API",
            "The API for operators, on the admin listener, and the API for storefronts, on the public listener, which \
             offers it to try out at `/docs`.",
        ),
    };
    let mut security = json!({
        "customer": {
            "type": "http", "scheme": "bearer",
            "description": "The customer's token. In development mode `dev:<customer>`, or `dev:<customer>:<e-mail>`.",
        },
        "access_token": {
            "type": "apiKey", "in": "query", "name": "access_token",
            "description":
                "The customer's token for event streams and WebSockets, for which a browser cannot set headers.",
        },
    });
    if part == Part::All {
        security["operator"] = json!({
            "type": "http", "scheme": "bearer",
            "description": "The operator's token. In development mode `dev-admin`.",
        });
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title, "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT", "identifier": "MIT" },
            "description": format!("{text}\n\n{CONVENTIONS}"),
        },
        "servers": [{ "url": "/" }],
        "tags": tags(part),
        "components": { "securitySchemes": security, "headers": headers() },
    })
}

const CONVENTIONS: &str = "Amounts are integers in the currency's minor unit (won, cents). Times are UTC. Errors are \
    problem documents as defined by RFC 9457 (`application/problem+json`): `code` is stable, `title` and `detail` are \
    in Korean or English. Every 503 response contains `Retry-After`; repeating a request with its `Idempotency-Key` \
    is always safe. Any other method of a path gets 405 `method_not_allowed` with `Allow`, any other path 404 \
    `not_found`. Members may be added to responses; unknown members of requests are refused.";

fn tags(part: Part) -> Value {
    let public = [
        ("Sales", "The sales and their remaining stock."),
        ("Orders", "Placing orders and reading their status."),
        ("Live updates", "Streams of an order's changes as they are settled."),
        ("Money", "Payments, refunds and wallets."),
    ];
    let admin = [
        ("Sale management", "Definitions, states, inventory and reports."),
        ("Order management", "Searching orders, advancing deliveries and crediting wallets."),
        ("Dead letters", "Records that could not be applied, and the decisions about them."),
    ];
    let admin = admin.iter().filter(|_| part == Part::All);
    let monitoring = [("Monitoring", "Metrics and health checks.")];
    let monitoring = monitoring.iter().filter(|_| part == Part::All);
    let pages = [("Pages and documents", "The web pages and these documents.")];
    let all = admin.chain(&public).chain(monitoring).chain(&pages);
    all.map(|(name, text)| json!({ "name": name, "description": text })).collect()
}

fn headers() -> Value {
    let header =
        |text: &str, schema: Value| json!({ "description": text, "required": true, "schema": schema });
    let mut headers = json!({
        "RetryAfter": header("The number of seconds after which to retry.", json!({ "type": "integer", "minimum": 1 })),
        "ETag": header("Identifies this version of the response.", json!({ "type": "string", "pattern": "^(W/)?\".+\"$" })),
        "WwwAuthenticate": header("The authentication scheme.", json!({ "type": "string", "const": "Bearer" })),
        "IdempotencyReplayed": header(
            "Present if this is the original response to the key, replayed.", json!({ "type": "string", "const": "true" })),
    });
    headers["IdempotencyReplayed"]["required"] = false.into();
    headers
}

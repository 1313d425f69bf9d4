<<<<<<< HEAD
//! The OpenAPI 3.1 documents. They are generated from the types that handlers read and write, and from the route
//! table, so that neither can change without the documents. A test compares them with the golden files
=======
//! The OpenAPI 3.1 documents. They are generated from the types that handlers read and write, and from the endpoints'
//! declarations, so that neither can change without the documents. A test compares them with the golden files
>>>>>>> 3dd7895 (gateway: declare each endpoint once)
//! `openapi/*.json`, so that a change of the API shows in a diff, and `tests/openapi.rs` compares them with a
//! running gateway.
//!
//! | file | contents |
//! |---|---|
<<<<<<< HEAD
//! | [`schemas`] | the schemas of the types as serde writes and reads them |
//! | [`operation`] | the builder of one operation |
//! | [`public`], [`admin`] | the operations of the route table |
=======
//! | [`document`] | a whole document |
//! | [`operation`] | the builder of one operation |
//! | [`schemas`] | the schemas of the types as serde writes and reads them |
>>>>>>> 3dd7895 (gateway: declare each endpoint once)
//! | [`problem`] | the schema of every problem document |

pub(crate) mod document;
pub(crate) mod operation;
mod problem;
mod schemas;
#[cfg(test)]
mod tests;
<<<<<<< HEAD

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use process::health::Readiness;
use serde_json::{Map, Value, json};

use self::operation::{Access, Operation};
use self::schemas::Schemas;
use crate::http::response::{Response, encoded_json};
use crate::route::{Admin, Public};

/// The document of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The operations of the public listener.
    Public,
    /// The operations of both listeners.
    All,
}

/// Responds with a document.
pub fn answer(part: Part) -> Response {
    static DOCUMENTS: [LazyLock<Bytes>; 2] =
        [LazyLock::new(|| text(Part::Public).into()), LazyLock::new(|| text(Part::All).into())];
    let [public, all] = &DOCUMENTS;
    let document = if part == Part::Public { public } else { all };
    encoded_json(StatusCode::OK, Bytes::clone(document))
}

/// Returns a document as it is served and as it is stored in `openapi/`.
pub fn text(part: Part) -> String {
    format!("{:#}\n", document(part))
}

fn document(part: Part) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for route in Public::ALL {
        public::operation(&mut schemas, route).finish(&mut paths);
    }
    if part == Part::All {
        paths.retain(|path, _| path.starts_with("/v1/")); // each listener has its own other paths
        for item in paths.values_mut() {
            item["servers"] = json!([{
                "url": "{public}", "description": "The public listener.",
                "variables": { "public": { "default": "http://127.0.0.1:8080" } },
            }]);
        }
        for route in Admin::ALL {
            admin::operation(&mut schemas, route).finish(&mut paths);
        }
        admin::sync(&mut schemas).finish(&mut paths);
        for operation in MONITORING {
            operation(&mut schemas).finish(&mut paths);
        }
    }
    let mut document = head(part);
    document["paths"] = Value::Object(paths);
    schemas.finish(&mut document);
    document
}

/// The operations for monitoring, on the admin listener.
const MONITORING: [fn(&mut Schemas) -> Operation<'_>; 3] = [
    |schemas| {
        monitoring(schemas, "/metrics", "metrics").does("Get metrics", "The Prometheus text format.").answer(
            200,
            "The metrics.",
            Some(("text/plain", json!({ "type": "string" }))),
        )
    },
    |schemas| {
        let alive = json!({
            "type": "object", "required": ["live"], "properties": { "live": { "type": "boolean", "const": true } },
        });
        monitoring(schemas, "/health/live", "live")
            .does("Liveness probe", "A process that does not respond must be restarted.")
            .answer(200, "The process is alive.", Some(("application/json", alive)))
    },
    |schemas| {
        monitoring(schemas, "/health/ready", "ready")
            .does("Readiness probe", "Reports each dependency, with the reason if it is down.")
            .answers::<Readiness>(200, "The gateway is ready.")
            .answers::<Readiness>(503, "The gateway is not ready.")
    },
];

fn monitoring<'s>(schemas: &'s mut Schemas, path: &'static str, id: &str) -> Operation<'s> {
    Operation::new(schemas, Method::GET, path, id, "Monitoring", Access::Anyone)
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
            "description": "The customer's token for event streams and WebSockets, for which a browser cannot set headers.",
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
=======
>>>>>>> 3dd7895 (gateway: declare each endpoint once)

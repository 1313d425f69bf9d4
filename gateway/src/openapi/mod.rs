//! The API's documents, in OpenAPI 3.1: made from the types that handlers read and write, and from the route
//! table, so that neither can change without them. What they say is compared with `openapi/*.json` by a test,
//! so that a change of the API is seen as one, and with a running gateway by `tests/openapi.rs`.
//!
//! | file | what it is |
//! |---|---|
//! | [`schemas`] | schemas of types, by what serde does with them |
//! | [`operation`] | one operation, being written |
//! | [`public`], [`admin`] | each call of the route table, in words |
//! | [`problem`] | every refusal's shape |

mod admin;
mod operation;
mod problem;
mod public;
mod schemas;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use process::health::Readiness;
use serde_json::{Map, Value, json};

use self::operation::{Access, Operation};
use self::schemas::Schemas;
use crate::http::response::{Response, encoded_json};
use crate::route::{Admin, Public};

/// Which document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the public listener has.
    Public,
    /// Everything.
    All,
}

/// Answers with a document.
pub fn answer(part: Part) -> Response {
    static DOCUMENTS: [LazyLock<Bytes>; 2] =
        [LazyLock::new(|| text(Part::Public).into()), LazyLock::new(|| text(Part::All).into())];
    let [public, all] = &DOCUMENTS;
    let document = if part == Part::Public { public } else { all };
    encoded_json(StatusCode::OK, Bytes::clone(document))
}

/// A document as it is served, and as it lies in `openapi/`.
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
        paths.retain(|path, _| path.starts_with("/v1/")); // the rest is of each listener its own
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
        for operation in OBSERVED {
            operation(&mut schemas).finish(&mut paths);
        }
    }
    let mut document = head(part);
    document["paths"] = Value::Object(paths);
    schemas.finish(&mut document);
    document
}

/// What is asked by monitoring, on the admin listener.
const OBSERVED: [fn(&mut Schemas) -> Operation<'_>; 3] = [
    |schemas| {
        observed(schemas, "/metrics", "metrics").does("Metrics", "In the text format of Prometheus.").answer(
            200,
            "The metrics.",
            Some(("text/plain", json!({ "type": "string" }))),
        )
    },
    |schemas| {
        let alive = json!({
            "type": "object", "required": ["live"], "properties": { "live": { "type": "boolean", "const": true } },
        });
        observed(schemas, "/health/live", "live")
            .does("Whether it lives", "Without this answer the process is to be restarted.")
            .answer(200, "It does.", Some(("application/json", alive)))
    },
    |schemas| {
        observed(schemas, "/health/ready", "ready")
            .does("Whether it can sell", "Each dependency, and why one is missing.")
            .answers::<Readiness>(200, "It can.")
            .answers::<Readiness>(503, "It cannot now.")
    },
];

fn observed<'s>(schemas: &'s mut Schemas, path: &'static str, id: &str) -> Operation<'s> {
    Operation::new(schemas, Method::GET, path, id, "Observing", Access::Anyone)
}

fn head(part: Part) -> Value {
    let (title, text) = match part {
        Part::Public => ("Flash sale: the public API", "What storefronts call."),
        Part::All => (
            "Flash sale: the whole API",
            "What operators call, on the admin listener, and what storefronts call, on the public one, at whose `/docs` \
             that is tried out.",
        ),
    };
    let mut security = json!({
        "customer": {
            "type": "http", "scheme": "bearer",
            "description": "The customer's token. In development mode `dev:<customer>`, or `dev:<customer>:<e-mail>`.",
        },
        "access_token": {
            "type": "apiKey", "in": "query", "name": "access_token",
            "description": "The customer's token, where a browser cannot set headers: event streams and WebSockets.",
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

const CONVENTIONS: &str = "Amounts are whole numbers of the currency's minor unit (won, cents). Times are UTC. \
    Refusals are problems by RFC 9457 (`application/problem+json`): `code` never changes, `title` and `detail` come \
    in Korean or English. Every 503 tells by `Retry-After` when to come back; nothing is lost by repeating a request \
    with its `Idempotency-Key`. Any other method of a path answers 405 `method_not_allowed` with `Allow`, any other \
    path 404 `not_found`. Members may be added to answers; unknown members of requests are refused.";

fn tags(part: Part) -> Value {
    let public = [
        ("Sales", "What is sold, and how much of it is left."),
        ("Orders", "Placing an order, and where it stands."),
        ("Live updates", "An order's changes as they are settled."),
        ("Money", "Payments, refunds, wallets."),
    ];
    let operated = [
        ("Operating sales", "Definitions, states, stock, reports."),
        ("Operating orders", "Looking for orders, moving goods, crediting wallets."),
        ("Dead letters", "Records that could not be applied, and what becomes of them."),
    ];
    let operated = operated.iter().filter(|_| part == Part::All);
    let observed = [("Observing", "What monitoring asks.")];
    let observed = observed.iter().filter(|_| part == Part::All);
    let pages = [("Pages and documents", "For people, and for programs.")];
    let all = operated.chain(&public).chain(observed).chain(&pages);
    all.map(|(name, text)| json!({ "name": name, "description": text })).collect()
}

fn headers() -> Value {
    let header =
        |text: &str, schema: Value| json!({ "description": text, "required": true, "schema": schema });
    let mut headers = json!({
        "RetryAfter": header("Come back after so many seconds.", json!({ "type": "integer", "minimum": 1 })),
        "ETag": header("Names this state of the answer.", json!({ "type": "string", "pattern": "^(W/)?\".+\"$" })),
        "WwwAuthenticate": header("How to say who calls.", json!({ "type": "string", "const": "Bearer" })),
        "IdempotencyReplayed": header(
            "The first answer to this key, again.", json!({ "type": "string", "const": "true" })),
    });
    headers["IdempotencyReplayed"]["required"] = false.into();
    headers
}

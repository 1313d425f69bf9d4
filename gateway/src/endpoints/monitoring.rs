//! Metrics and health checks, on the admin listener. They are not counted as requests.

use std::future::ready;

use contract::problem::Code;
use http_body_util::Either;
use process::health::{self, Readiness};
use serde_json::json;

use super::endpoint::{Endpoint, endpoint};
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::state::Gateway;

const MONITORING: &str = "Monitoring";

pub(super) static ENDPOINTS: &[Endpoint] = &[
    endpoint!(
        Get(health::METRICS),
        metrics(MONITORING, Anyone, Static),
        |gateway, request| ready(respond(gateway, request.context.head.uri.path())),
        |operation| operation.does("Get metrics", "The Prometheus text format.").answer(
            200,
            "The metrics.",
            Some(("text/plain", json!({ "type": "string" }))),
        ),
    ),
    endpoint!(
        Get(health::LIVE),
        live(MONITORING, Anyone, Static),
        |gateway, request| ready(respond(gateway, request.context.head.uri.path())),
        |operation| {
            let alive = json!({
                "type": "object", "required": ["live"],
                "properties": { "live": { "type": "boolean", "const": true } },
            });
            operation.does("Liveness probe", "A process that does not respond must be restarted.").answer(
                200,
                "The process is alive.",
                Some(("application/json", alive)),
            )
        },
    ),
    endpoint!(
        Get(health::READY),
        ready(MONITORING, Anyone, Static),
        |gateway, request| ready(respond(gateway, request.context.head.uri.path())),
        |operation| operation
            .does("Readiness probe", "Reports each dependency, with the reason if it is down.")
            .answers::<Readiness>(200, "The gateway is ready.")
            .answers::<Readiness>(503, "The gateway is not ready."),
    ),
];

fn respond(gateway: &Gateway, path: &str) -> Result<Response, Problem> {
    let response = health::respond(path, &gateway.health, &gateway.metrics);
    response.map(|response| response.map(Either::Left)).ok_or_else(|| Code::NotFound.into())
}

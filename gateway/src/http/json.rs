//! Responses with a JSON body.

use contract::lifecycle::Language;
use contract::problem::Code;
use hyper::StatusCode;
use serde::Serialize;

use crate::http::problem::Problem;
use crate::http::response::{Response, encoded_json};

/// Returns a response with `body` as JSON, or 500 when it cannot be serialized.
#[expect(clippy::disallowed_methods, reason = "the failure is answered with 500, not with a panic")]
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => encoded_json(status, body.into()),
        Err(error) => {
            tracing::error!(%error, "response body could not be serialized");
            Problem::from(Code::Internal).response(Language::English)
        }
    }
}

//! Reads a JSON body within its limits, and the header `Idempotency-Key`.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use contract::ids::IdempotencyKey;
use contract::problem::Code;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::de::DeserializeOwned;

use crate::http::problem::Problem;

/// Longest body in bytes: an order of fifty lines with an address is far below it.
pub const BYTES_MAX: usize = 16 * 1024;
/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a JSON body within its limits. The size is checked before the media type, as the documented order of
/// refusals requires.
pub async fn read_json(headers: &HeaderMap, mut body: Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) || body.size_hint().lower() > bytes_max as u64
    {
        return Err(too_large(bytes_max));
    }
    if !is_json(headers) {
        return Err(Code::UnsupportedMediaType.into());
    }
    let read = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|_| Problem::because(Code::MalformedRequest, "The body is incomplete."))?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            if whole.is_empty() && body.is_end_stream() {
                return Ok(data); // the common case: one frame, no copy
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    let late = |_| Problem::because(Code::MalformedRequest, "The body did not arrive in time.");
    tokio::time::timeout(TIMEOUT, read).await.map_err(late)?
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::because(Code::TooLarge, format!("The body must not exceed {bytes_max} bytes."))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// Parses the header `Idempotency-Key`, which must be present exactly once.
pub fn idempotency_key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let invalid = || {
        Problem::because(
            Code::MalformedRequest,
            "Exactly one Idempotency-Key header with 1 to 128 visible ASCII characters is required.",
        )
    };
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(invalid()) };
    let text = value.to_str().map_err(|_| invalid())?;
    IdempotencyKey::parse(text).map_err(|_| invalid())
}

/// Parses a body that has been read.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::because(Code::MalformedRequest, error.to_string()))
}

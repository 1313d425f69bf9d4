//! A strict reading of an order: the body within its bounds, no unknown field, values checked, prices
//! from the sale's terms in memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use contract::ids::IdempotencyKey;
use contract::order::{OrderRefusal, OrderRequest, PaymentRequest, PricedRequest};
use contract::problem::Code;
use contract::sale::SaleTerms;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::de::DeserializeOwned;

use crate::http::problem::Problem;

/// Longest body in bytes: fifty lines and an address fit well.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// A body must have arrived by then.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a JSON body within its limits. Size goes before type, as the order of refusals says.
pub async fn body(headers: &HeaderMap, mut body: Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
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
            let frame = frame.map_err(|_| Problem::because(Code::MalformedRequest, "The body broke off."))?;
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
    tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(late)?
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::because(Code::TooLarge, format!("A body has at most {bytes_max} bytes."))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// The header `Idempotency-Key`, exactly once.
pub fn idempotency_key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let bad = || {
        Problem::because(
            Code::MalformedRequest,
            "Idempotency-Key must be given, once, with 1 to 128 visible ASCII characters.",
        )
    };
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(bad()) };
    let text = value.to_str().map_err(|_| bad())?;
    IdempotencyKey::parse(text).map_err(|_| bad())
}

/// The shape of a body.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::because(Code::MalformedRequest, error.to_string()))
}

/// The body of a payment, its values checked.
pub fn payment(body: &[u8]) -> Result<PaymentRequest, Problem> {
    let request: PaymentRequest = json(body)?;
    request.check("token").map_err(|refused| Problem::because(Code::InvalidPayment, refused.to_string()))?;
    Ok(request)
}

/// The values of the body, and the price.
pub fn price(request: &OrderRequest, terms: &SaleTerms) -> Result<PricedRequest, Problem> {
    request.price(terms).map_err(|refused| {
        let detail = refused.to_string();
        match refused {
            OrderRefusal::Invalid(_) => Problem::because(Code::InvalidOrder, detail),
            OrderRefusal::UnknownSku(sku) => {
                Problem::because(Code::UnknownSku, detail).with("sku", sku.as_str())
            }
            OrderRefusal::TotalMismatch { total } => {
                Problem::because(Code::TotalMismatch, detail).with("total", total)
            }
        }
    })
}

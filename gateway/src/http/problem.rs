//! RFC 9457 problems with a stable code, and the conversions from errors into them.
//!
//! A problem is what the client sees. The cause of an internal failure is logged where it is converted and
//! never sent.

use bytes::Bytes;
use contract::lifecycle::Language;
use contract::order::OrderRefusal;
use contract::problem::Code;
use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use process::postgres::ErrorClass;
use serde_json::{Map, Value};

use crate::http::response::{Response, full};

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// A sentence about this one case, beyond the code's title.
    pub detail: Option<String>,
    /// Members beside the standard ones.
    pub members: Map<String, Value>,
}

impl Problem {
    /// Returns a problem with a sentence about this case.
    pub fn because(code: Code, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::from(code) }
    }

    /// Adds an extra member.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }

    /// Returns the encoded body.
    pub fn body(&self, language: Language) -> Bytes {
        let mut body = Map::new();
        let title = self.code.title(language);
        body.insert("code".into(), self.code.as_str().into());
        body.insert("title".into(), title.into());
        body.insert("status".into(), self.code.status().into());
        body.insert("detail".into(), self.detail.as_deref().unwrap_or(title).into());
        body.extend(self.members.clone());
        Value::Object(body).to_string().into()
    }

    /// Returns the whole response.
    pub fn response(&self, language: Language) -> Response {
        encoded_problem(self.code, self.body(language))
    }
}

/// Returns a problem response whose body is already encoded.
pub fn encoded_problem(code: Code, body: Bytes) -> Response {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = code.retry_after_seconds() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if code == Code::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Returns the response to a request that no endpoint serves. For a path that has other methods, `allow`
/// returns their list.
pub fn unrouted(code: Code, language: Language, allow: impl FnOnce() -> String) -> Response {
    let mut response = Problem::from(code).response(language);
    if code == Code::MethodNotAllowed
        && let Ok(allow) = HeaderValue::try_from(allow())
    {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self { code, detail: None, members: Map::new() }
    }
}

impl From<OrderRefusal> for Problem {
    fn from(refusal: OrderRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            OrderRefusal::Invalid(_) | OrderRefusal::NotAllowed(_) => {
                Self::because(Code::InvalidOrder, detail)
            }
            OrderRefusal::UnknownSku(sku) => {
                Self::because(Code::UnknownSku, detail).with("sku", sku.as_str())
            }
            OrderRefusal::TotalMismatch { total } => {
                Self::because(Code::TotalMismatch, detail).with("total", total)
            }
        }
    }
}

impl From<deadpool_postgres::PoolError> for Problem {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        tracing::warn!(%error, "no Postgres connection is available");
        Code::DatabaseUnavailable.into()
    }
}

impl From<tokio_postgres::Error> for Problem {
    /// A transient error is an outage of Postgres; any other is a fault of this program.
    fn from(error: tokio_postgres::Error) -> Self {
        if ErrorClass::classify(&error) == ErrorClass::Transient {
            tracing::warn!(%error, "Postgres did not respond");
            Code::DatabaseUnavailable.into()
        } else {
            tracing::error!(%error, cause = ?error, "Postgres query failed");
            Code::Internal.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_503_has_retry_after_and_members_are_beside_the_code() {
        let problem = Problem::from(Code::SoldOut).with("sku", "A").with("remaining", 0);
        let body: Value = serde_json::from_slice(&problem.body(Language::English)).unwrap();
        assert_eq!(
            (&body["code"], &body["sku"], &body["remaining"]),
            (&"sold_out".into(), &"A".into(), &0.into())
        );
        assert!(
            Problem::from(Code::Overloaded).response(Language::Korean).headers().contains_key(RETRY_AFTER)
        );
    }
}

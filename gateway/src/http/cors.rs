//! Cross-origin rules: which pages may call the public API from a browser.

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, StatusCode};

use crate::http::response::{Response, full};

/// The listed origins.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<String>,
}

impl Cors {
    /// `*` stands for any.
    pub fn new(origins: Vec<String>) -> Self {
        Self { origins: origins.into_iter().filter(|origin| !origin.is_empty()).collect() }
    }

    /// The request's origin, if it is listed.
    pub fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = headers.get(ORIGIN)?;
        let listed =
            self.origins.iter().any(|listed| listed == "*" || listed.as_bytes() == origin.as_bytes());
        listed.then(|| origin.clone())
    }

    /// The answer to a preflight request.
    pub fn preflight(&self, headers: &HeaderMap) -> Response {
        let mut answer = Response::new(full(Bytes::new()));
        *answer.status_mut() = StatusCode::NO_CONTENT;
        if let Some(origin) = self.allowed(headers) {
            let headers = answer.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, DELETE"));
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(
                    "Authorization, Content-Type, Idempotency-Key, Accept-Language, Last-Event-ID",
                ),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            mark(&mut answer, origin);
        }
        answer
    }
}

/// Lets the page of this origin read the answer.
pub fn mark(answer: &mut Response, origin: HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Retry-After, Idempotency-Replayed, ETag"),
    );
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

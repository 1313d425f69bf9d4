//! Cross-origin requests (CORS): which pages may call the public API from a browser.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, StatusCode};

use crate::http::response::{Response, empty};

/// The listed origins.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Vec<String>,
}

impl Cors {
    /// Returns the rules for these origins; `*` matches any.
    pub fn new(origins: Vec<String>) -> Self {
        Self { origins: origins.into_iter().filter(|origin| !origin.is_empty()).collect() }
    }

    /// Returns the request's origin if it is listed.
    pub fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = headers.get(ORIGIN)?;
        let listed =
            self.origins.iter().any(|listed| listed == "*" || listed.as_bytes() == origin.as_bytes());
        listed.then(|| origin.clone())
    }

    /// Returns the response to a preflight request.
    pub fn preflight(&self, headers: &HeaderMap) -> Response {
        let mut response = empty(StatusCode::NO_CONTENT);
        if let Some(origin) = self.allowed(headers) {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, DELETE"));
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(
                    "Authorization, Content-Type, Idempotency-Key, Accept-Language, Last-Event-ID",
                ),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            allow_origin(&mut response, origin);
        }
        response
    }
}

/// Allows the pages of this origin to read the response.
pub fn allow_origin(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Retry-After, Idempotency-Replayed, ETag"),
    );
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

//! Answers: JSON, or an RFC 9457 problem with a stable code.

use std::convert::Infallible;

use bytes::Bytes;
use contract::lifecycle::Language;
use contract::problem::Code;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};
use hyper::header::{ACCEPT_LANGUAGE, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

/// What every handler returns.
pub type Answer = Response<Body>;
/// Known whole, as nearly always, or told bit by bit.
pub type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// A body that is known whole.
pub fn full(body: Bytes) -> Body {
    Either::Left(Full::new(body))
}

/// The language a client prefers: Korean where it stands before English, else English.
pub fn language(headers: &HeaderMap) -> Language {
    let wanted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for tag in wanted.split(',') {
        let tag = tag.trim_start();
        if tag.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case("ko")) {
            return Language::Korean;
        }
        if tag.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case("en")) {
            return Language::English;
        }
    }
    Language::English
}

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Its code.
    pub code: Code,
    /// More than the title says, for this one case.
    pub detail: Option<String>,
    /// Members beside the standard ones.
    pub members: Map<String, Value>,
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self { code, detail: None, members: Map::new() }
    }
}

impl Problem {
    /// With a sentence about this case.
    pub fn because(code: Code, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::from(code) }
    }
    /// With an extra member.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }
    /// The body.
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
    /// The whole answer.
    pub fn answer(&self, language: Language) -> Answer {
        problem_of(self.code, self.body(language))
    }
}

/// A problem of a path that is not there, or has other methods than this one: `allow` names them.
pub fn misrouted(code: Code, language: Language, allow: impl FnOnce() -> String) -> Answer {
    let mut answer = Problem::from(code).answer(language);
    if code == Code::MethodNotAllowed
        && let Ok(allow) = HeaderValue::try_from(allow())
    {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// A problem whose body is known already.
pub fn problem_of(code: Code, body: Bytes) -> Answer {
    let mut answer = Response::new(full(body));
    *answer.status_mut() = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = code.retry_after_seconds() {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if code == Code::Unauthenticated {
        answer.headers_mut().insert(hyper::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// A JSON answer.
pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(body) => json_of(status, body.into()),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            Problem::from(Code::Internal).answer(Language::English)
        }
    }
}

/// A JSON answer whose body is known already.
pub fn json_of(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(full(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_we_speak_wins() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(text).unwrap());
            language(&headers)
        };
        assert_eq!(of("ko-KR,ko;q=0.9,en;q=0.8"), Language::Korean);
        assert_eq!(of("fr, en;q=0.5, ko;q=0.2"), Language::English);
        assert_eq!(of("k"), Language::English);
    }

    #[test]
    fn a_503_says_when_to_return_and_members_stand_beside_the_code() {
        let problem = Problem::from(Code::SoldOut).with("sku", "A").with("remaining", 0);
        let body: Value = serde_json::from_slice(&problem.body(Language::English)).unwrap();
        assert_eq!(
            (&body["code"], &body["sku"], &body["remaining"]),
            (&"sold_out".into(), &"A".into(), &0.into())
        );
        assert!(Problem::from(Code::Overloaded).answer(Language::Korean).headers().contains_key(RETRY_AFTER));
    }
}

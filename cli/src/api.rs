//! A client of one gateway's admin API. Every call has a timeout. Idempotent calls are retried with backoff; a call that is
//! not idempotent and gets no response is reported as having an unknown outcome.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::arguments::Server;
use crate::failure::{Failure, Problem};

/// The backoff between attempts doubles from the first value to the second.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A refused connection may mean that the gateway is starting; a wrong address should fail quickly.
const CONNECT_ATTEMPTS_MAX: u32 = 5;
/// The timeout of one attempt of a query: the server's own timeout is 3 seconds.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of one attempt of a change: the server's own timeout is 20 seconds.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(22);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether a call may be sent again after it may have been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idempotency {
    /// A second call has no further effect: it is retried until the timeout.
    Idempotent,
    /// A second call has a further effect: it is retried only while it is certain that nothing was done.
    NotIdempotent,
}

/// A call of the admin API.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    key: Option<&'a str>,
    idempotency: Idempotency,
}

impl<'a> Call<'a> {
    /// Creates a query. Each part of the path is one segment, whatever characters it contains.
    pub(crate) fn get(path: &[&'a str]) -> Self {
        Self::new(Method::GET, path, Idempotency::Idempotent)
    }
    /// Creates a call with any method.
    pub(crate) fn new(method: Method, path: &[&'a str], idempotency: Idempotency) -> Self {
        Self { method, path: path.to_vec(), query: vec![], body: None, key: None, idempotency }
    }
    /// Adds a query parameter, if it has a value.
    pub(crate) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }
    /// Adds a JSON body.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
    /// Adds an Idempotency-Key.
    pub(crate) fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }
    fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }
}

/// Why an attempt failed, where another one may succeed.
enum AttemptError {
    /// The connection failed: the request was not carried out.
    NotSent(String),
    /// The request may have been carried out.
    Unknown(String),
    /// The gateway responded 503, perhaps with a Retry-After.
    Unavailable(Problem, Option<Duration>),
}

/// A client of one gateway.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    timeout: Duration,
}

impl Api {
    /// Creates a client from the command's arguments.
    pub(crate) fn new(server: &Server) -> Result<Self, Failure> {
        let base = Url::parse(&server.admin_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Failure::Usage(format!("--admin-url {}: expected http://host:port", server.admin_url))
            })?;
        // It fails if a provider is already installed, which is then the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none()) // the token is for this address alone
            .no_proxy();
        if let Some(file) = &server.ca_file {
            let pem = std::fs::read(file).map_err(|error| Failure::file(file, error))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| Failure::Usage(format!("--ca-file {}: {error}", file.display())))?;
            if authorities.is_empty() {
                return Err(Failure::Usage(format!(
                    "--ca-file {}: the file contains no certificate",
                    file.display()
                )));
            }
            http = http.tls_certs_merge(authorities);
        }
        let http = http
            .build()
            .map_err(|error| Failure::Usage(format!("cannot set up HTTPS: {}", root_cause(error))))?;
        let timeout = Duration::from_secs_f64(server.timeout);
        Ok(Self { http, base, token: server.token.clone(), timeout })
    }

    /// Returns the same client with another timeout.
    pub(crate) fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Returns the gateway's address.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends a call and decodes the response.
    pub(crate) async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failure> {
        let name = call.name();
        let (_, body) = self.send(call).await?;
        let invalid = |error: serde_json::Error| Failure::UnexpectedResponse {
            url: name.clone(),
            why: error.to_string(),
        };
        serde_json::from_slice(&body).map_err(invalid)
    }

    /// Sends a call, and retries it after transient failures until the timeout. Returns the status and the body.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<(StatusCode, Vec<u8>), Failure> {
        let begun = Instant::now();
        let (mut backoff, mut attempts, mut unknown) = (BACKOFF_MIN, 0u32, None);
        loop {
            attempts += 1;
            let left = self.timeout.saturating_sub(begun.elapsed());
            let error = match self.attempt(&call, left).await? {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let is_idempotent = call.idempotency == Idempotency::Idempotent;
            let may_retry = match &error {
                AttemptError::NotSent(_) => attempts < CONNECT_ATTEMPTS_MAX,
                AttemptError::Unknown(_) => is_idempotent,
                AttemptError::Unavailable(problem, retry_after) => {
                    backoff = backoff.max(retry_after.unwrap_or_default().min(BACKOFF_MAX));
                    is_idempotent || problem.code() != "outcome_unknown"
                }
            };
            if let AttemptError::Unknown(why) = &error {
                unknown = Some(why.clone());
            }
            if !may_retry || begun.elapsed() + backoff >= self.timeout {
                return Err(self.failure(&call, error, unknown));
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Returns how the whole call failed. `unknown` is why some attempt may have been carried out.
    fn failure(&self, call: &Call<'_>, error: AttemptError, unknown: Option<String>) -> Failure {
        let is_change = call.method != Method::GET;
        match (error, unknown) {
            (_, Some(why)) if is_change => Failure::OutcomeUnknown {
                what: call.name(),
                why,
                hint: match call.idempotency {
                    Idempotency::Idempotent => "run the command again: it has no effect if it already succeeded".into(),
                    Idempotency::NotIdempotent => {
                        "check the result before you repeat it: `flashsale sale show`, `flashsale dead-letters list`"
                            .into()
                    }
                },
            },
            (AttemptError::Unavailable(problem, _), _) => Failure::Refused(problem),
            (AttemptError::NotSent(why) | AttemptError::Unknown(why), _) => {
                Failure::Unreachable { url: self.url().into(), why }
            }
        }
    }

    /// Sends a call once. The outer error is final; after the inner one the call may be retried.
    async fn attempt(
        &self,
        call: &Call<'_>,
        left: Duration,
    ) -> Result<Result<(StatusCode, Vec<u8>), AttemptError>, Failure> {
        let timeout = if call.method == Method::GET { QUERY_TIMEOUT } else { CHANGE_TIMEOUT };
        let mut request = self
            .http
            .request(call.method.clone(), self.url_for(&call.path))
            .query(&call.query)
            .timeout(left.min(timeout).max(BACKOFF_MIN));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Ok(Err(AttemptError::NotSent(root_cause(error)))),
            Err(error) if error.is_builder() => return Err(Failure::Usage(root_cause(error))),
            Err(error) => return Ok(Err(AttemptError::Unknown(root_cause(error)))),
        };
        let (status, retry_after) = (response.status(), retry_after(&response));
        let body = match response.bytes().await {
            Ok(body) => body.to_vec(),
            Err(error) => return Ok(Err(AttemptError::Unknown(root_cause(error)))),
        };
        if status.is_success() {
            return Ok(Ok((status, body)));
        }
        let problem =
            Problem { status: status.as_u16(), members: serde_json::from_slice(&body).unwrap_or_default() };
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Ok(Err(AttemptError::Unavailable(problem, retry_after))),
            _ if status.is_redirection() || problem.members.is_empty() => Err(Failure::UnexpectedResponse {
                url: self.url().into(),
                why: format!("status {status} without a problem document"),
            }),
            _ => Err(Failure::Refused(problem)),
        }
    }

    fn url_for(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path); // a URL with a host has segments
        }
        url
    }

    /// Returns the readiness report. It needs no token, and its status is 503 if the gateway is not ready.
    pub(crate) async fn health(&self) -> Result<Value, Failure> {
        let url = self.url_for(&["health", "ready"]);
        let unreachable = |error| Failure::Unreachable { url: self.url().into(), why: root_cause(error) };
        let request = self.http.get(url).timeout(self.timeout.min(QUERY_TIMEOUT));
        let response = request.send().await.map_err(unreachable)?;
        let body = response.bytes().await.map_err(unreachable)?;
        let unexpected = |why: String| Failure::UnexpectedResponse { url: self.url().into(), why };
        let health: Value = serde_json::from_slice(&body).map_err(|error| unexpected(error.to_string()))?;
        match health["ready"].is_boolean() {
            true => Ok(health),
            false => Err(unexpected("the readiness report has no member `ready`".into())),
        }
    }
}

fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Returns the innermost cause of a failed call.
fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "the request timed out".into();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

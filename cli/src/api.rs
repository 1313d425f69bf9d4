//! The admin API of one gateway, as a careful client: every call has a time limit; what may be repeated is
//! repeated with growing pauses; what may not, and has no answer, is told as unknown.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::arguments::Server;
use crate::failure::{Failure, Problem};

/// Pauses between tries: doubled from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(1);
/// Where nobody listens, somebody may be starting; nobody waits long for a wrong address.
const CONNECT_TRIES_MAX: u32 = 5;
/// One try of a query: the server gives itself 3 seconds.
const QUERY_MAX: Duration = Duration::from_secs(5);
/// One try of a change: the server gives itself 20 seconds.
const CHANGE_MAX: Duration = Duration::from_secs(22);
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// What a repetition of a call would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Nothing more than the first: it is repeated until the time is over.
    Harmless,
    /// Something more: repeated only while it is certain that nothing has been done.
    Counts,
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    key: Option<&'a str>,
    repeat: Repeat,
}

impl<'a> Call<'a> {
    /// A query below `/admin/v1`. Each part of the path is one segment, whatever is in it.
    pub(crate) fn get(path: &[&'a str]) -> Self {
        Self::new(Method::GET, path, Repeat::Harmless)
    }
    /// A change.
    pub(crate) fn new(method: Method, path: &[&'a str], repeat: Repeat) -> Self {
        Self { method, path: path.to_vec(), query: vec![], body: None, key: None, repeat }
    }
    /// With a parameter, if there is a value.
    pub(crate) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }
    /// With a body.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
    /// With an Idempotency-Key.
    pub(crate) fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }
    fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }
}

/// How a try ended, if not well.
enum Missed {
    /// The request was not sent, or was refused before anything was done.
    Undone(String),
    /// It may have been carried out.
    Unknown(String),
    /// It was answered 503.
    Busy(Problem, Option<Duration>),
}

/// A client of one gateway.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    limit: Duration,
}

impl Api {
    /// As the arguments say.
    pub(crate) fn new(server: &Server) -> Result<Self, Failure> {
        let base = Url::parse(&server.admin_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Failure::Usage(format!("--admin-url {}: expected http://host:port", server.admin_url))
            })?;
        // Another part may have named it already: then it is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .redirect(reqwest::redirect::Policy::none()) // the token is for this address alone
            .no_proxy();
        if let Some(file) = &server.ca_file {
            let pem = std::fs::read(file).map_err(|error| Failure::file(file, error))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| Failure::Usage(format!("--ca-file {}: {error}", file.display())))?;
            if authorities.is_empty() {
                return Err(Failure::Usage(format!(
                    "--ca-file {}: there is no certificate in it",
                    file.display()
                )));
            }
            http = http.tls_certs_merge(authorities);
        }
        let http =
            http.build().map_err(|error| Failure::Usage(format!("HTTPS cannot be used: {}", why(error))))?;
        let limit = Duration::from_secs_f64(server.timeout);
        Ok(Self { http, base, token: server.token.clone(), limit })
    }

    /// The same, with another longest wait for an answer.
    pub(crate) fn within(&self, limit: Duration) -> Self {
        Self { limit, ..self.clone() }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Calls the admin API and reads the answer.
    pub(crate) async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failure> {
        let name = call.name();
        let (_, body) = self.answered(call).await?;
        let why = |error: serde_json::Error| Failure::Strange { url: name.clone(), why: error.to_string() };
        serde_json::from_slice(&body).map_err(why)
    }

    /// Calls the admin API until there is an answer that is no passing failure, or the time is over.
    pub(crate) async fn answered(&self, call: Call<'_>) -> Result<(StatusCode, Vec<u8>), Failure> {
        let begun = Instant::now();
        let (mut pause, mut tries, mut unknown) = (PAUSE_FIRST, 0u32, None);
        loop {
            tries += 1;
            let left = self.limit.saturating_sub(begun.elapsed());
            let missed = match self.once(&call, left).await? {
                Ok(answer) => return Ok(answer),
                Err(missed) => missed,
            };
            let again = match &missed {
                Missed::Undone(_) => tries < CONNECT_TRIES_MAX,
                Missed::Unknown(_) => call.repeat == Repeat::Harmless,
                Missed::Busy(problem, wait) => {
                    pause = pause.max(wait.unwrap_or_default().min(PAUSE_LAST));
                    call.repeat == Repeat::Harmless || problem.code() != "outcome_unknown"
                }
            };
            if let Missed::Unknown(why) = &missed {
                unknown = Some(why.clone());
            }
            if !again || begun.elapsed() + pause >= self.limit {
                return Err(self.given_up(&call, missed, unknown));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }

    fn given_up(&self, call: &Call<'_>, missed: Missed, unknown: Option<String>) -> Failure {
        let changes = call.method != Method::GET;
        match (missed, unknown) {
            (_, Some(why)) if changes => Failure::Unknown {
                what: call.name(),
                why,
                hint: match call.repeat {
                    Repeat::Harmless => "repeat the command: what was done already is not done twice".into(),
                    Repeat::Counts => {
                        "look before repeating it: `flashsale sale show`, `flashsale dead-letters list`"
                            .into()
                    }
                },
            },
            (Missed::Busy(problem, _), _) => Failure::Refused(problem),
            (Missed::Undone(why) | Missed::Unknown(why), _) => {
                Failure::Unreachable { url: self.url().into(), why }
            }
        }
    }

    /// One try. The outer error ends the call, the inner one may pass.
    async fn once(
        &self,
        call: &Call<'_>,
        left: Duration,
    ) -> Result<Result<(StatusCode, Vec<u8>), Missed>, Failure> {
        let limit = if call.method == Method::GET { QUERY_MAX } else { CHANGE_MAX };
        let mut request = self
            .http
            .request(call.method.clone(), self.at(&call.path))
            .query(&call.query)
            .timeout(left.min(limit).max(PAUSE_FIRST));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Ok(Err(Missed::Undone(why(error)))),
            Err(error) if error.is_builder() => return Err(Failure::Usage(why(error))),
            Err(error) => return Ok(Err(Missed::Unknown(why(error)))),
        };
        let (status, wait) = (answer.status(), retry_after(&answer));
        let body = match answer.bytes().await {
            Ok(body) => body.to_vec(),
            Err(error) => return Ok(Err(Missed::Unknown(why(error)))),
        };
        if status.is_success() {
            return Ok(Ok((status, body)));
        }
        let problem =
            Problem { status: status.as_u16(), members: serde_json::from_slice(&body).unwrap_or_default() };
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Ok(Err(Missed::Busy(problem, wait))),
            _ if status.is_redirection() || problem.members.is_empty() => Err(Failure::Strange {
                url: self.url().into(),
                why: format!("status {status} without a reason"),
            }),
            _ => Err(Failure::Refused(problem)),
        }
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path); // a URL with a host has segments
        }
        url
    }

    /// Whether it is ready, by its own word: that is told to anyone, with a 503 where it is not.
    pub(crate) async fn health(&self) -> Result<Value, Failure> {
        let url = self.at(&["health", "ready"]);
        let unreachable = |error| Failure::Unreachable { url: self.url().into(), why: why(error) };
        let request = self.http.get(url).timeout(self.limit.min(QUERY_MAX));
        let answer = request.send().await.map_err(unreachable)?;
        let body = answer.bytes().await.map_err(unreachable)?;
        let strange =
            |error: serde_json::Error| Failure::Strange { url: self.url().into(), why: error.to_string() };
        let health: Value = serde_json::from_slice(&body).map_err(strange)?;
        match health["ready"].is_boolean() {
            true => Ok(health),
            false => Err(Failure::Strange {
                url: self.url().into(),
                why: "it does not tell whether it is ready".into(),
            }),
        }
    }
}

fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let seconds = answer.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Why a call failed, down to the last cause.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

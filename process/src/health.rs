//! What a process depends on, whether it is there, and if not, why. Readiness comes and goes with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, header};
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

/// All dependencies of a process.
#[derive(Clone, Default)]
pub struct Health {
    dependencies: Arc<Mutex<BTreeMap<&'static str, Dependency>>>,
}

/// One dependency's state.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Dependency {
    /// Usable now.
    pub up: bool,
    /// Whether the process is ready without it.
    pub required: bool,
    /// Why it is not, in words for an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub why: Option<String>,
}

/// What `/health/ready` answers.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Readiness {
    /// Whether everything that the process cannot do without is there.
    ready: bool,
    /// By name.
    dependencies: BTreeMap<&'static str, Dependency>,
}

impl Health {
    /// Declares a dependency; it is down until someone has seen it up. `dependency_up` says nothing of one that the
    /// process is ready without until it was tried: nobody is called for a mail server that no mail has gone to.
    pub fn declare(&self, name: &'static str, required: bool) {
        let untried = Dependency { up: false, required, why: Some("not tried yet".into()) };
        if required {
            self.put(name, untried);
        } else {
            self.dependencies().insert(name, untried);
        }
    }

    /// It works.
    pub fn mark_up(&self, name: &'static str) {
        self.set(name, true, None);
    }

    /// It does not, because.
    pub fn mark_down(&self, name: &'static str, why: impl Into<String>) {
        self.set(name, false, Some(why.into()));
    }

    /// Up or down by a result.
    pub fn report<T, E: std::fmt::Display>(&self, name: &'static str, result: &Result<T, E>) {
        match result {
            Ok(_) => self.mark_up(name),
            Err(error) => self.mark_down(name, error.to_string()),
        }
    }

    fn set(&self, name: &'static str, up: bool, why: Option<String>) {
        let before = self.dependencies().get(name).cloned();
        let required = before.as_ref().is_none_or(|dependency| dependency.required);
        if before.as_ref().is_none_or(|before| before.up != up) {
            match &why {
                None => tracing::info!(dependency = name, "is there"),
                Some(why) => tracing::warn!(dependency = name, why, "is missing"),
            }
        }
        self.put(name, Dependency { up, required, why });
    }

    fn put(&self, name: &'static str, dependency: Dependency) {
        gauge!("dependency_up", "dependency" => name).set(if dependency.up { 1.0 } else { 0.0 });
        self.dependencies().insert(name, dependency);
    }

    fn dependencies(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Dependency>> {
        // A panic while it was held cannot have left it half written: each use is one insert or read.
        self.dependencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every required dependency is up.
    pub fn is_ready(&self) -> bool {
        self.dependencies().values().all(|dependency| dependency.up || !dependency.required)
    }

    /// Whether this one is up.
    pub fn is_up(&self, name: &'static str) -> bool {
        self.dependencies().get(name).is_some_and(|dependency| dependency.up)
    }

    /// All of them, as they are known now.
    pub fn snapshot(&self) -> BTreeMap<&'static str, Dependency> {
        self.dependencies().clone()
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let readiness = Readiness { ready: self.is_ready(), dependencies: self.snapshot() };
        let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        // A struct of texts and flags always serializes.
        let body = serde_json::to_vec(&readiness).unwrap_or_default();
        response(status, "application/json", body)
    }
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// Any other path of a listener that serves nothing else.
pub fn not_found() -> Response<Full<Bytes>> {
    response(
        StatusCode::NOT_FOUND,
        "application/json",
        r#"{"paths":["/metrics","/health/live","/health/ready"]}"#,
    )
}

/// Answers `/metrics`, `/health/live` and `/health/ready`; `None` for any other path.
pub fn respond(path: &str, health: &Health, metrics: &PrometheusHandle) -> Option<Response<Full<Bytes>>> {
    match path {
        "/metrics" => {
            Some(response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.render()))
        }
        "/health/live" => Some(response(StatusCode::OK, "application/json", r#"{"live":true}"#)),
        "/health/ready" => Some(health.readiness()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_down_until_it_was_seen_and_missed_only_where_it_is_needed_or_was_tried() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let health = Health::default();
            let shown = |name: &str| {
                let line = format!("dependency_up{{dependency=\"{name}\"}} ");
                recorder
                    .handle()
                    .render()
                    .lines()
                    .find_map(|text| text.strip_prefix(&line).map(str::to_owned))
            };
            health.declare("kafka", true);
            health.declare("email", false);
            assert!(!health.is_ready() && !health.is_up("email"));
            assert_eq!((shown("kafka").as_deref(), shown("email")), (Some("0"), None));
            health.mark_up("kafka");
            health.mark_down("email", "refused");
            assert!(health.is_ready());
            assert_eq!((shown("kafka").as_deref(), shown("email").as_deref()), (Some("1"), Some("0")));
        });
    }
}

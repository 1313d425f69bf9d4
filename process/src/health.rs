//! The health of a process: whether each dependency is up, and if not, why. Readiness follows from it.
//!
//! Postgres and Redis are probed periodically ([`Health::probe_until_stopped`]), independently of the tasks that use
//! them. Kafka is not: each process already has a client that sends a request to the brokers at least once a second,
//! and reports the result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contract::wire;
use http_body_util::Full;
use hyper::{Response, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

crate::metrics! {
    static DEPENDENCY_UP: Gauge["dependency"] = "dependency_up", "1 while the dependency is up, 0 while it is down.";
}

/// The path of the metrics.
pub const METRICS: &str = "/metrics";
/// The path of the liveness probe.
pub const LIVE: &str = "/health/live";
/// The path of the readiness probe.
pub const READY: &str = "/health/ready";

/// The state of all dependencies of a process.
#[derive(Clone, Default)]
pub struct Health {
    dependencies: Arc<Mutex<BTreeMap<&'static str, Dependency>>>,
}

/// The state of one dependency.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Dependency {
    /// Whether the dependency can be used now.
    pub up: bool,
    /// Whether the process is ready only while the dependency is up.
    pub required: bool,
    /// Why the dependency is down, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub why: Option<String>,
}

/// The response of `/health/ready`.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Readiness {
    /// Whether all required dependencies are up.
    ready: bool,
    /// The dependencies by name.
    dependencies: BTreeMap<&'static str, Dependency>,
}

impl Health {
    /// Declares a dependency, which is down until the first successful check. An optional dependency has no metric
    /// `dependency_up` before the first check, so that no alert fires for a mail server that no mail was sent to yet.
    pub fn declare(&self, name: &'static str, required: bool) {
        let unchecked = Dependency { up: false, required, why: Some("not checked yet".into()) };
        if required {
            self.put(name, unchecked);
        } else {
            self.dependencies.lock().insert(name, unchecked);
        }
    }

    /// Marks a dependency as up.
    pub fn mark_up(&self, name: &'static str) {
        self.set(name, true, None);
    }

    /// Marks a dependency as down, with the reason.
    pub fn mark_down(&self, name: &'static str, why: impl Into<String>) {
        self.set(name, false, Some(why.into()));
    }

    /// Marks a dependency as up or down, depending on a result.
    pub fn report<T, E: std::fmt::Display>(&self, name: &'static str, result: &Result<T, E>) {
        match result {
            Ok(_) => self.mark_up(name),
            Err(error) => self.mark_down(name, error.to_string()),
        }
    }

    /// Probes a dependency in this interval until `stop`. One that has not responded after two intervals is down.
    pub async fn probe_until_stopped<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        &self,
        name: &'static str,
        every: Duration,
        stop: &CancellationToken,
        probe: impl Fn() -> F,
    ) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match timeout(2 * every, probe()).await {
                Ok(result) => self.report(name, &result),
                Err(_) => self.mark_down(name, "no response in time"),
            }
        }
    }

    fn set(&self, name: &'static str, up: bool, why: Option<String>) {
        let before = self.dependencies.lock().get(name).cloned();
        let required = before.as_ref().is_none_or(|dependency| dependency.required);
        if before.as_ref().is_none_or(|before| before.up != up) {
            match &why {
                None => tracing::info!(dependency = name, "dependency is up"),
                Some(why) => tracing::warn!(dependency = name, why, "dependency is down"),
            }
        }
        self.put(name, Dependency { up, required, why });
    }

    fn put(&self, name: &'static str, dependency: Dependency) {
        DEPENDENCY_UP.with([name]).set(if dependency.up { 1.0 } else { 0.0 });
        self.dependencies.lock().insert(name, dependency);
    }

    /// Returns whether every required dependency is up.
    pub fn is_ready(&self) -> bool {
        self.dependencies.lock().values().all(|dependency| dependency.up || !dependency.required)
    }

    /// Returns whether a dependency is up.
    pub fn is_up(&self, name: &'static str) -> bool {
        self.dependencies.lock().get(name).is_some_and(|dependency| dependency.up)
    }

    /// Returns the current state of all dependencies.
    pub fn snapshot(&self) -> BTreeMap<&'static str, Dependency> {
        self.dependencies.lock().clone()
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let readiness = Readiness { ready: self.is_ready(), dependencies: self.snapshot() };
        let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = wire::encode(&readiness);
        response(status, "application/json", body)
    }
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// Returns the 404 of a listener that serves only metrics and health.
pub fn not_found() -> Response<Full<Bytes>> {
    response(
        StatusCode::NOT_FOUND,
        "application/json",
        r#"{"paths":["/metrics","/health/live","/health/ready"]}"#,
    )
}

/// Responds to `/metrics`, `/health/live` and `/health/ready`. Returns `None` for any other path.
pub fn respond(path: &str, health: &Health, metrics: &PrometheusHandle) -> Option<Response<Full<Bytes>>> {
    match path {
        METRICS => {
            Some(response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.render()))
        }
        LIVE => Some(response(StatusCode::OK, "application/json", r#"{"live":true}"#)),
        READY => Some(health.readiness()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_dependency_is_down_until_its_first_check_and_has_a_metric_only_if_it_is_required_or_was_checked() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let health = Health::default();
            let metric = |name: &str| {
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
            assert_eq!((metric("kafka").as_deref(), metric("email")), (Some("0"), None));
            health.mark_up("kafka");
            health.mark_down("email", "refused");
            assert!(health.is_ready());
            assert_eq!((metric("kafka").as_deref(), metric("email").as_deref()), (Some("1"), Some("0")));
        });
    }

    #[tokio::test]
    async fn a_probed_dependency_is_down_while_it_does_not_respond() {
        let (health, stop, hangs) = (Health::default(), CancellationToken::new(), AtomicBool::new(true));
        health.declare("redis", true);
        let probe = || async {
            if hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok::<_, &str>(())
        };
        let probing = health.probe_until_stopped("redis", Duration::from_millis(10), &stop, probe);
        let observing = async {
            let becomes = async |state: (bool, Option<&str>)| {
                let is = |redis: &Dependency| (redis.up, redis.why.as_deref()) == state;
                while !health.snapshot().get("redis").is_some_and(is) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            becomes((false, Some("no response in time"))).await;
            hangs.store(false, Ordering::Relaxed);
            becomes((true, None)).await;
            hangs.store(true, Ordering::Relaxed);
            becomes((false, Some("no response in time"))).await;
            stop.cancel();
        };
        let both = async { tokio::join!(probing, observing) };
        timeout(Duration::from_secs(20), both)
            .await
            .expect("each state is reported, and the probes end at `stop`");
    }
}

//! Request counters and latencies. The handles are made once: looking a metric up by its labels costs
//! more than counting. What has been counted can be read here, too: a recorder cannot be asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use contract::problem::Code;
use metrics::{Counter, Histogram, counter, histogram};

/// What became of a request: a problem's code, or one of these.
pub mod outcome {
    /// Answered.
    pub const OK: &str = "ok";
    /// A 202.
    pub const ACCEPTED: &str = "accepted";
    /// The first 202 again.
    pub const REPLAYED: &str = "replayed";
}

/// `gateway_requests_total`, `gateway_request_seconds`; `gateway_accepted_seconds`, because refusals are quick, and
/// would make the answers that an objective is about look quicker than they are; `gateway_faults_total`, there from the
/// start, so that an alert has a 0 to rise from.
pub struct Requests {
    counters: RwLock<HashMap<(&'static str, &'static str), Counted>>,
    seconds: RwLock<HashMap<&'static str, Histogram>>,
    accepted: Histogram,
    faults: Counter,
}

impl Default for Requests {
    fn default() -> Self {
        let accepted = histogram!("gateway_accepted_seconds");
        let faults = counter!("gateway_faults_total");
        Self { counters: RwLock::default(), seconds: RwLock::default(), accepted, faults }
    }
}

/// A counter of the metrics, and the same number to be read.
#[derive(Clone)]
struct Counted {
    metric: Counter,
    total: Arc<AtomicU64>,
}

impl Counted {
    fn of(metric: Counter) -> Self {
        Self { metric, total: Arc::default() }
    }
    fn increment(&self) {
        self.metric.increment(1);
        self.total.fetch_add(1, Ordering::Relaxed);
    }
}

impl Requests {
    /// A route's answers so far, by outcome.
    pub fn totals(&self, route: &str) -> Vec<(&'static str, u64)> {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        let of_route = counters.iter().filter(|((of, _), _)| *of == route);
        of_route.map(|((_, outcome), counted)| (*outcome, counted.total.load(Ordering::Relaxed))).collect()
    }

    /// Counts one answer.
    pub fn count(&self, route: &'static str, outcome: &'static str, since: Instant) {
        let key = (route, outcome);
        cached(&self.counters, key, || {
            Counted::of(counter!("gateway_requests_total", "route" => route, "outcome" => outcome))
        })
        .increment();
        if outcome == outcome::ACCEPTED {
            self.accepted.record(since.elapsed());
        } else if outcome == Code::Internal.as_str() {
            self.faults.increment(1);
        }
        cached(&self.seconds, route, || histogram!("gateway_request_seconds", "route" => route))
            .record(since.elapsed());
    }
}

fn cached<K: std::hash::Hash + Eq, V: Clone>(
    cache: &RwLock<HashMap<K, V>>,
    key: K,
    make: impl FnOnce() -> V,
) -> V {
    if let Some(found) = cache.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return found.clone();
    }
    cache.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert_with(make).clone()
}

//! Request counters and latencies. The handles are cached: finding a metric by its labels costs more than counting.
//! The counts can also be read here, because the recorder of metrics cannot be queried.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use contract::problem::Code;
use metrics::{Counter, Histogram};
use parking_lot::RwLock;

process::metrics! {
    static REQUESTS: Counter["route", "outcome"] = "gateway_requests_total",
        "Responses by outcome: `ok`, `accepted`, `replayed`, or the code of a problem.";
    static SECONDS: Histogram["route"] = "gateway_request_seconds", "Time from a request to its response, in seconds.";
    static ACCEPTED_SECONDS: Histogram = "gateway_accepted_seconds",
        "Time from an order's request to its 202, in seconds. Refusals are excluded, because they are faster.";
    static FAULTS: Counter = "gateway_faults_total", "Responses with 500 `internal_error`.";
}

/// The outcome of a request is a problem's code or one of these.
pub mod outcome {
    /// The request succeeded.
    pub const OK: &str = "ok";
    /// A 202: an order or a command was recorded.
    pub const ACCEPTED: &str = "accepted";
    /// The 202 of an earlier request was repeated.
    pub const REPLAYED: &str = "replayed";
}

/// Records `gateway_requests_total` and `gateway_request_seconds`. Records `gateway_accepted_seconds` apart, because
/// refusals are fast and would hide how slow the 202s are that the objective is about. Registers
/// `gateway_faults_total` at 0, so that an alert sees it rise.
#[derive(Default)]
pub struct Requests {
    counters: RwLock<HashMap<(&'static str, &'static str), Counted>>,
    seconds: RwLock<HashMap<&'static str, Histogram>>,
}

/// A counter whose value can be read.
#[derive(Clone)]
struct Counted {
    metric: Counter,
    total: Arc<AtomicU64>,
}

impl Counted {
    fn new(metric: Counter) -> Self {
        Self { metric, total: Arc::default() }
    }
    fn increment(&self) {
        self.metric.increment(1);
        self.total.fetch_add(1, Ordering::Relaxed);
    }
}

impl Requests {
    /// Returns how often an endpoint has responded so far, by outcome.
    pub fn totals(&self, route: &str) -> Vec<(&'static str, u64)> {
        let counters = self.counters.read();
        let of_route = counters.iter().filter(|((of, _), _)| *of == route);
        of_route.map(|((_, outcome), counted)| (*outcome, counted.total.load(Ordering::Relaxed))).collect()
    }

    /// Counts one response.
    pub fn count(&self, route: &'static str, outcome: &'static str, since: Instant) {
        let key = (route, outcome);
        cached(&self.counters, key, || Counted::new(REQUESTS.with([route, outcome]))).increment();
        if outcome == outcome::ACCEPTED {
            ACCEPTED_SECONDS.record(since.elapsed());
        } else if outcome == Code::Internal.as_str() {
            FAULTS.increment(1);
        }
        cached(&self.seconds, route, || SECONDS.with([route])).record(since.elapsed());
    }
}

fn cached<K: std::hash::Hash + Eq, V: Clone>(
    cache: &RwLock<HashMap<K, V>>,
    key: K,
    make: impl FnOnce() -> V,
) -> V {
    if let Some(found) = cache.read().get(&key) {
        return found.clone();
    }
    cache.write().entry(key).or_insert_with(make).clone()
}

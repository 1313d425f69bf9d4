//! Request counters and latencies. The handles are made once: looking a metric up by its labels costs
//! more than counting.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

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

/// `gateway_requests_total` and `gateway_request_seconds`.
#[derive(Default)]
pub struct Requests {
    counters: RwLock<HashMap<(&'static str, &'static str), Counter>>,
    seconds: RwLock<HashMap<&'static str, Histogram>>,
}

impl Requests {
    /// Counts one answer.
    pub fn count(&self, route: &'static str, outcome: &'static str, since: Instant) {
        let key = (route, outcome);
        cached(
            &self.counters,
            key,
            || counter!("gateway_requests_total", "route" => route, "outcome" => outcome),
        )
        .increment(1);
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

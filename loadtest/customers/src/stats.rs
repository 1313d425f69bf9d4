//! The counts of a run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use rustc_hash::FxHashSet;
use terminal::thousands;

use crate::latency::{Latencies, Series, ms};
use crate::response::Response;

/// The number of examples kept of responses that were not as documented.
const EXAMPLES_MAX: usize = 10;

/// The counts of one run.
#[derive(Debug, Default)]
pub struct Stats {
    /// The number of requests sent, including retries and repeats.
    pub requests: u64,
    /// The number of responses by status and code; each attempt counts.
    pub responses: BTreeMap<(u16, String), u64>,
    /// The latencies of acceptances, from the scheduled time of the first attempt to the 202.
    pub accepted: Latencies,
    /// The latencies of definite refusals, counted the same way.
    pub refused: Latencies,
    /// The number of definite refusals by code.
    pub refusals: BTreeMap<String, u64>,
    /// The number of requests without a definite response after all retries.
    pub unresolved: u64,
    /// The number of 202s that replayed an earlier one.
    pub replays: u64,
    /// The counts of each second.
    pub series: Series,
    /// The orders that a 202 acknowledged.
    pub orders: FxHashSet<OrderId>,
    /// The time of the first acknowledgement of the newest order.
    pub last_accepted: Option<Instant>,
    /// The number of responses that the interface does not promise.
    pub unexpected: u64,
    /// The first of these responses.
    pub unexpected_examples: Vec<String>,
}

impl Stats {
    /// Counts an attempt with its response, which may be missing.
    pub fn record_attempt(&mut self, response: &Response) {
        self.requests += 1;
        let code = response.code.clone().unwrap_or_default();
        *self.responses.entry((response.status, code)).or_default() += 1;
    }

    /// Counts a request with its final response. `since_start` is the scheduled time of sending, `latency`
    /// the time from then to the response.
    pub fn record_outcome(&mut self, response: &Response, since_start: Duration, latency: Duration) {
        let second = self.series.second_at(since_start);
        second.latencies.record(latency);
        if response.is_accepted() {
            second.accepted += 1;
            self.accepted.record(latency);
            self.replays += u64::from(response.replayed);
            if response.order_id.is_some_and(|order| self.orders.insert(order)) {
                self.last_accepted = Some(Instant::now());
            }
        } else if (400..500).contains(&response.status) && response.status != 429 {
            second.refused += 1;
            self.refused.record(latency);
            *self.refusals.entry(response.code.clone().unwrap_or_default()).or_default() += 1;
        } else {
            second.failed += 1;
            self.unresolved += 1;
        }
    }

    /// Counts a response that is not as documented.
    pub fn record_unexpected(&mut self, example: String) {
        self.unexpected += 1;
        if self.unexpected_examples.len() < EXAMPLES_MAX {
            self.unexpected_examples.push(example);
        }
    }

    /// Returns the counts so far, for a progress bar.
    pub fn progress_line(&self) -> String {
        let refused: u64 = self.refusals.values().sum();
        format!(
            "{} accepted, {} refused, p99 {} ms",
            thousands(self.orders.len() as u64),
            thousands(refused),
            ms(self.accepted.ms_at(99.0))
        )
    }

    /// Returns the number of responses by name: `202`, `409 sold_out`, `no_answer`.
    pub fn responses_by_name(&self) -> Vec<(String, u64)> {
        let name = |status: u16, code: &str| match (status, code) {
            (0, code) => code.to_owned(),
            (status, "") => status.to_string(),
            (status, code) => format!("{status} {code}"),
        };
        self.responses.iter().map(|((status, code), n)| (name(*status, code), *n)).collect()
    }
}

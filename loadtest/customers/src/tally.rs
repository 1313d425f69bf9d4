//! What a run counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use rustc_hash::FxHashSet;

use crate::answer::Answer;
use crate::latency::{Latencies, Series, ms};
use terminal::thousands;

/// Examples kept of answers that were not as documented.
const EXAMPLES_MAX: usize = 10;

/// Counts of one run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests sent, retries and repeats included.
    pub requests: u64,
    /// Answers by status and code, each attempt counted.
    pub answers: BTreeMap<(u16, String), u64>,
    /// Until the 202, from the intended time of the first attempt.
    pub accepted: Latencies,
    /// Until a definite refusal, counted alike.
    pub refused: Latencies,
    /// Definite refusals by code.
    pub refusals: BTreeMap<String, u64>,
    /// Requests that had no definite answer after all retries.
    pub unanswered: u64,
    /// 202s that were repeats of an earlier one.
    pub replays: u64,
    /// By the second.
    pub series: Series,
    /// Orders that somebody was told of.
    pub orders: FxHashSet<OrderId>,
    /// When the last order was told of for the first time.
    pub last_accepted: Option<Instant>,
    /// Answers that are not what the interface promises.
    pub unexpected: u64,
    /// The first of them.
    pub unexpected_examples: Vec<String>,
}

impl Tally {
    /// One attempt was answered, or not.
    pub fn attempt(&mut self, answer: &Answer) {
        self.requests += 1;
        let code = answer.code.clone().unwrap_or_default();
        *self.answers.entry((answer.status, code)).or_default() += 1;
    }

    /// A request came to its end: `since_start` is when it was meant to be sent, `latency` how long it
    /// took from then.
    pub fn outcome(&mut self, answer: &Answer, since_start: Duration, latency: Duration) {
        let second = self.series.at(since_start);
        second.latencies.record(latency);
        if answer.is_accepted() {
            second.accepted += 1;
            self.accepted.record(latency);
            self.replays += u64::from(answer.replayed);
            if answer.order_id.is_some_and(|order| self.orders.insert(order)) {
                self.last_accepted = Some(Instant::now());
            }
        } else if (400..500).contains(&answer.status) && answer.status != 429 {
            second.refused += 1;
            self.refused.record(latency);
            *self.refusals.entry(answer.code.clone().unwrap_or_default()).or_default() += 1;
        } else {
            second.failed += 1;
            self.unanswered += 1;
        }
    }

    /// An answer was not as documented.
    pub fn unexpected(&mut self, example: String) {
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

    /// Returns the number of responses as `202`, `409 sold_out`, `no_answer`.
    pub fn named_answers(&self) -> Vec<(String, u64)> {
        let name = |status: u16, code: &str| match (status, code) {
            (0, code) => code.to_owned(),
            (status, "") => status.to_string(),
            (status, code) => format!("{status} {code}"),
        };
        self.answers.iter().map(|((status, code), n)| (name(*status, code), *n)).collect()
    }
}

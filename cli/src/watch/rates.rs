//! What changes from look to look: rates, from totals that only grow.

use std::collections::VecDeque;

use serde::Serialize;

use crate::overview::Overview;

/// Rates that are kept for the curves: two minutes.
const KEPT: usize = 120;

/// What a second brings; `None` where it cannot be told: the first look, a gateway that started anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    pub(super) accepted_per_second: Option<f64>,
    pub(super) refused_per_second: Option<f64>,
    pub(super) failed_per_second: Option<f64>,
    pub(super) settled_per_second: Option<f64>,
}

/// The looks so far, as far as they are needed.
#[derive(Debug, Default)]
pub(super) struct History {
    last: Option<Overview>,
    rates: VecDeque<Rates>,
}

impl History {
    /// Takes a look in; returns the rates since the one before.
    pub(super) fn push(&mut self, now: &Overview) -> Rates {
        let rates = self.last.as_ref().map_or_else(Rates::default, |last| since(last, now));
        if self.rates.len() == KEPT {
            self.rates.pop_front();
        }
        self.rates.push_back(rates);
        self.last = Some(now.clone());
        rates
    }

    /// The newest rates.
    pub(super) fn now(&self) -> Rates {
        self.rates.back().copied().unwrap_or_default()
    }

    /// One of the rates over time, oldest first.
    pub(super) fn curve(&self, of: impl Fn(&Rates) -> Option<f64>) -> Vec<u64> {
        self.rates.iter().map(|rates| of(rates).unwrap_or_default().round() as u64).collect()
    }
}

fn since(last: &Overview, now: &Overview) -> Rates {
    let seconds = now.time.0.saturating_sub(last.time.0) as f64 / 1000.0;
    if seconds <= 0.0 {
        return Rates::default(); // the same look, shared
    }
    let rate = |before: u64, after: u64| Some(after.checked_sub(before)? as f64 / seconds);
    let (was, is) = (&last.gateway, &now.gateway);
    let same = (&was.id, was.started_at) == (&is.id, is.started_at);
    let of_gateway = |before, after| rate(before, after).filter(|_| same);
    Rates {
        accepted_per_second: of_gateway(was.accepted_total, is.accepted_total),
        refused_per_second: of_gateway(was.refused_total, is.refused_total),
        failed_per_second: of_gateway(was.failed_total, is.failed_total),
        settled_per_second: last
            .orders_settled()
            .zip(now.orders_settled())
            .and_then(|(before, after)| rate(before, after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::Look;

    fn seen(ms: u64, started: u64, accepted: u64, settled: u64) -> Overview {
        let at = |ms| contract::timestamp::Timestamp(ms).to_string();
        let told = serde_json::json!({
            "time": at(ms), "log": [], "dead_letters": 0, "dependencies": [],
            "gateway": {"id": "g", "started_at": at(started), "accepted_total": accepted, "refused_total": 0,
                        "failed_total": 0, "in_flight": 0, "live_update_streams": 0},
            "sales": [{"sale_id": "s", "title": "T", "state": "open", "ready": true, "epoch": 1, "outbox_entries": 0,
                       "orders_settled": settled, "items": []}],
        });
        Look::of(told).unwrap().seen
    }

    #[test]
    fn rates_come_from_two_looks_and_not_across_a_restart() {
        let mut history = History::default();
        assert_eq!(history.push(&seen(1000, 0, 100, 40)), Rates::default());
        let rates = history.push(&seen(3000, 0, 300, 240));
        assert_eq!((rates.accepted_per_second, rates.settled_per_second), (Some(100.0), Some(100.0)));
        let rates = history.push(&seen(4000, 3500, 7, 241));
        assert_eq!((rates.accepted_per_second, rates.settled_per_second), (None, Some(1.0)));
        assert_eq!(history.curve(|rates| rates.accepted_per_second), [0, 100, 0]);
    }
}

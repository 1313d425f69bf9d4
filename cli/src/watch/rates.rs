//! Rates between two snapshots, computed from counters.

use std::collections::VecDeque;

use serde::Serialize;

use crate::overview::Overview;

/// The number of rates that are kept for the sparklines: two minutes.
const HISTORY_MAX: usize = 120;

/// Rates per second. A rate is `None` if it is unknown: in the first snapshot, and after a restart of the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    pub(super) accepted_per_second: Option<f64>,
    pub(super) refused_per_second: Option<f64>,
    pub(super) failed_per_second: Option<f64>,
    pub(super) settled_per_second: Option<f64>,
}

/// The last snapshot and the recent rates.
#[derive(Debug, Default)]
pub(super) struct History {
    last: Option<Overview>,
    rates: VecDeque<Rates>,
}

impl History {
    /// Adds a snapshot and returns the rates since the previous one.
    pub(super) fn push(&mut self, now: &Overview) -> Rates {
        let rates = self.last.as_ref().map_or_else(Rates::default, |last| since(last, now));
        if self.rates.len() == HISTORY_MAX {
            self.rates.pop_front();
        }
        self.rates.push_back(rates);
        self.last = Some(now.clone());
        rates
    }

    /// Returns the newest rates.
    pub(super) fn latest(&self) -> Rates {
        self.rates.back().copied().unwrap_or_default()
    }

    /// Returns one of the rates over time, oldest first.
    pub(super) fn series(&self, select: impl Fn(&Rates) -> Option<f64>) -> Vec<u64> {
        self.rates.iter().map(|rates| select(rates).unwrap_or_default().round() as u64).collect()
    }
}

fn since(last: &Overview, now: &Overview) -> Rates {
    let seconds = now.time.0.saturating_sub(last.time.0) as f64 / 1000.0;
    if seconds <= 0.0 {
        return Rates::default(); // the same snapshot from the gateway's cache
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
    use crate::overview::Snapshot;

    fn overview(ms: u64, started: u64, accepted: u64, settled: u64) -> Overview {
        let at = |ms| contract::timestamp::Timestamp(ms).to_string();
        let raw = serde_json::json!({
            "time": at(ms), "log": [], "dead_letters": 0, "dependencies": [],
            "gateway": {"id": "g", "started_at": at(started), "accepted_total": accepted, "refused_total": 0,
                        "failed_total": 0, "in_flight": 0, "live_update_streams": 0},
            "sales": [{"sale_id": "s", "title": "T", "state": "open", "ready": true, "epoch": 1, "outbox_entries": 0,
                       "orders_settled": settled, "items": []}],
        });
        Snapshot::parse(raw).unwrap().overview
    }

    #[test]
    fn rates_come_from_two_snapshots_and_not_across_a_restart() {
        let mut history = History::default();
        assert_eq!(history.push(&overview(1000, 0, 100, 40)), Rates::default());
        let rates = history.push(&overview(3000, 0, 300, 240));
        assert_eq!((rates.accepted_per_second, rates.settled_per_second), (Some(100.0), Some(100.0)));
        let rates = history.push(&overview(4000, 3500, 7, 241));
        assert_eq!((rates.accepted_per_second, rates.settled_per_second), (None, Some(1.0)));
        assert_eq!(history.series(|rates| rates.accepted_per_second), [0, 100, 0]);
    }
}

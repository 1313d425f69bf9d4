//! How long the same drift has been proven, over consecutive comparisons. A drift that changes starts again: its cause
//! is still active, and should be understood before the sale is repaired.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::ids::{Epoch, Sku};

/// The proven drifts of one sale.
#[derive(Debug, Default)]
pub struct DriftHistory {
    epoch: Epoch,
    drifts: BTreeMap<Sku, (i64, Instant)>,
}

/// What a comparison adds to the history.
#[derive(Debug, PartialEq, Eq)]
pub struct DriftUpdate {
    /// The drifts that the previous comparison did not find, or found with another number of units.
    pub new: Vec<(Sku, i64)>,
    /// How long the oldest drift has been unchanged.
    pub longest: Duration,
}

impl DriftHistory {
    /// Adds the drifts of a proven comparison.
    pub fn add(&mut self, epoch: Epoch, drifts: &BTreeMap<Sku, i64>, now: Instant) -> DriftUpdate {
        let previous = std::mem::take(&mut self.drifts);
        let previous = if self.epoch == epoch { previous } else { BTreeMap::new() };
        self.epoch = epoch;
        let mut update = DriftUpdate { new: vec![], longest: Duration::ZERO };
        for (sku, units) in drifts.iter().filter(|(_, units)| **units != 0) {
            let since = match previous.get(sku) {
                Some((same, since)) if same == units => *since,
                _ => {
                    update.new.push((sku.clone(), *units));
                    now
                }
            };
            update.longest = update.longest.max(now.duration_since(since));
            self.drifts.insert(sku.clone(), (*units, since));
        }
        update
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_drift_that_is_unchanged_within_an_epoch_ages() {
        let second = Duration::from_secs(1);
        let (mut history, mut now) = (DriftHistory::default(), Instant::now());
        let mut after_a_second = |epoch: u64, units: &[(&str, i64)]| {
            now += second;
            let units = units.iter().map(|(sku, units)| (Sku::parse(sku).unwrap(), *units)).collect();
            let update = history.add(Epoch(epoch), &units, now);
            (update.new.len(), update.longest)
        };
        assert_eq!(after_a_second(1, &[("A", 3), ("B", 0)]), (1, Duration::ZERO));
        assert_eq!(after_a_second(1, &[("A", 3), ("B", -1)]), (1, second));
        assert_eq!(after_a_second(1, &[("A", 4), ("B", -1)]), (1, second));
        assert_eq!(after_a_second(1, &[("A", 4), ("B", -1)]), (0, 2 * second));
        assert_eq!(after_a_second(1, &[("A", 4), ("B", 0)]), (0, 2 * second));
        assert_eq!(after_a_second(1, &[("A", 0), ("B", 0)]), (0, Duration::ZERO));
        assert_eq!(after_a_second(1, &[("A", 4)]), (1, Duration::ZERO), "the drift had passed in between");
        assert_eq!(after_a_second(2, &[("A", 4)]), (1, Duration::ZERO), "another epoch has another state");
    }
}

//! How long the same drift has been proven, comparison after comparison. One that changes begins anew: then
//! something is going on that is to be understood before it is repaired.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::ids::{Epoch, Sku};

/// What comparisons of one sale have proven so far.
#[derive(Debug, Default)]
pub struct DriftHistory {
    epoch: Epoch,
    drifts: BTreeMap<Sku, (i64, Instant)>,
}

/// What a comparison adds.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Drifts that were not there, or not so large, at the comparison before.
    pub new: Vec<(Sku, i64)>,
    /// How long the one that has lasted longest has been the same.
    pub longest: Duration,
}

impl DriftHistory {
    /// Takes a proven comparison in.
    pub fn proven(&mut self, epoch: Epoch, drifts: &BTreeMap<Sku, i64>, now: Instant) -> Found {
        let before = std::mem::take(&mut self.drifts);
        let before = if self.epoch == epoch { before } else { BTreeMap::new() };
        self.epoch = epoch;
        let mut found = Found { new: vec![], longest: Duration::ZERO };
        for (sku, units) in drifts.iter().filter(|(_, units)| **units != 0) {
            let since = match before.get(sku) {
                Some((same, since)) if same == units => *since,
                _ => {
                    found.new.push((sku.clone(), *units));
                    now
                }
            };
            found.longest = found.longest.max(now.duration_since(since));
            self.drifts.insert(sku.clone(), (*units, since));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_drift_that_stays_the_same_within_an_epoch_grows_old() {
        let second = Duration::from_secs(1);
        let (mut lasting, mut now) = (DriftHistory::default(), Instant::now());
        let mut after_a_second = |epoch: u64, units: &[(&str, i64)]| {
            now += second;
            let units = units.iter().map(|(sku, units)| (Sku::parse(sku).unwrap(), *units)).collect();
            let found = lasting.proven(Epoch(epoch), &units, now);
            (found.new.len(), found.longest)
        };
        assert_eq!(after_a_second(1, &[("A", 3), ("B", 0)]), (1, Duration::ZERO));
        assert_eq!(after_a_second(1, &[("A", 3), ("B", -1)]), (1, second));
        assert_eq!(after_a_second(1, &[("A", 4), ("B", -1)]), (1, second));
        assert_eq!(after_a_second(1, &[("A", 4), ("B", -1)]), (0, 2 * second));
        assert_eq!(after_a_second(1, &[("A", 4), ("B", 0)]), (0, 2 * second));
        assert_eq!(after_a_second(1, &[("A", 0), ("B", 0)]), (0, Duration::ZERO));
        assert_eq!(after_a_second(1, &[("A", 4)]), (1, Duration::ZERO), "it has passed in between");
        assert_eq!(after_a_second(2, &[("A", 4)]), (1, Duration::ZERO), "another state of Redis");
    }
}

//! Invariant 10: the position in the log moves together with the effects of the records before it; and what fences off
//! stale processes, epochs and watermarks, never goes back.

use crate::Invariant::{EpochMonotonic, PositionConsistent, WatermarkMonotonic};
use crate::{Check, require};

/// A transaction moves the position forward.
pub fn advances(from: i64, to: i64) -> Check {
    require(PositionConsistent, to > from, || format!("the position moves from {from} to {to}"))
}

/// A position lies within the log: from the offset that must be settled to the end of the log.
pub fn within_log(position: i64, settled_at_least: i64, end: i64) -> Check {
    require(PositionConsistent, position >= settled_at_least, || {
        format!("the position is {position}, the end of the log was {settled_at_least}")
    })?;
    require(PositionConsistent, position <= end, || {
        format!("the position is {position}, the log ends at {end}")
    })
}

/// The event sequences of a partition, as stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventSequences {
    /// The next sequence, which moves with the position.
    pub next: i64,
    /// The highest stored sequence; 0 if there is none.
    pub max: i64,
    /// The number of stored events.
    pub rows: i64,
    /// The number of distinct sequences.
    pub distinct: i64,
}

/// The event sequences below the position have no gap and no duplicate.
pub fn events_complete(events: &EventSequences) -> Check {
    let EventSequences { next, max, rows, distinct } = *events;
    require(PositionConsistent, next == max + 1, || {
        format!("next_seq is {next}, the highest event sequence is {max}")
    })?;
    require(PositionConsistent, rows == distinct, || {
        format!("{rows} event rows share {distinct} sequences")
    })?;
    require(PositionConsistent, distinct == max, || {
        format!("{} of {max} event sequences are missing", max - distinct)
    })
}

/// A rebuild begins an epoch above the one before.
pub fn epoch_advances(before: u64, begun: u64) -> Check {
    require(EpochMonotonic, begun > before, || format!("the rebuild of epoch {before} begins epoch {begun}"))
}

/// An epoch never decreases.
pub fn epoch_never_decreases(before: u64, after: u64) -> Check {
    require(EpochMonotonic, after >= before, || format!("the epoch changes from {before} to {after}"))
}

/// No gateway responds from an epoch whose barrier is settled.
pub fn lease_is_current(epoch: u64, settled_epoch: u64) -> Check {
    require(EpochMonotonic, epoch >= settled_epoch, || {
        format!("a gateway responds from epoch {epoch}, and the barrier of epoch {settled_epoch} is settled")
    })
}

/// A release moves the watermark forward.
pub fn watermark_advances(after: u64, to: u64) -> Check {
    require(WatermarkMonotonic, to > after, || format!("a release moves the watermark from {after} to {to}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_position_that_stays_goes_back_or_leaves_the_log_is_detected() {
        assert!(advances(3, 4).is_ok() && advances(3, 3).is_err() && advances(4, 3).is_err());
        assert!(within_log(5, 5, 5).is_ok() && within_log(4, 5, 5).is_err() && within_log(6, 5, 5).is_err());
    }

    #[test]
    fn epochs_and_watermarks_never_go_back() {
        assert!(epoch_never_decreases(2, 2).is_ok() && epoch_never_decreases(2, 1).is_err());
        assert!(lease_is_current(2, 2).is_ok() && lease_is_current(1, 2).is_err());
        assert!(watermark_advances(2, 3).is_ok() && watermark_advances(2, 2).is_err());
    }

    proptest! {
        /// Events are complete exactly if their sequences are 1 to `next - 1`, each once.
        #[test]
        fn events_are_complete_exactly_if_each_sequence_exists_once(mut seqs in prop::collection::vec(1..8i64, 0..8), next in 1..9i64) {
            let rows = seqs.len() as i64;
            seqs.sort_unstable();
            let is_complete = seqs.iter().copied().eq(1..next);
            seqs.dedup();
            let max = seqs.last().copied().unwrap_or(0);
            let events = EventSequences { next, max, rows, distinct: seqs.len() as i64 };
            prop_assert_eq!(events_complete(&events).is_ok(), is_complete);
        }
    }
}

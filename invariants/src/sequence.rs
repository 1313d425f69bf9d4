//! Invariant 7: the sequences of a sale are 1, 2, 3, … without duplicate or gap. The sequences of events, which have one
//! writer for each partition, have the same property.

use crate::Invariant::SequenceComplete;
use crate::{Check, require};

/// Requires that `found` is not lower than `expected` in an ascending run; a lower sequence exists twice.
pub fn no_duplicate(expected: u64, found: u64) -> Check {
    require(SequenceComplete, found >= expected, || format!("sequence {found} exists twice"))
}

/// Requires that `found` does not skip a sequence from `expected` on in an ascending run.
pub fn no_gap(expected: u64, found: u64) -> Check {
    require(SequenceComplete, found <= expected, || {
        format!("sequences {expected} to {} are missing", found.saturating_sub(1))
    })
}

/// Sequences in ascending order are `first`, `first + 1`, … without duplicate or gap.
pub fn complete(first: u64, ascending: impl IntoIterator<Item = u64>) -> Check {
    let mut expected = first;
    for found in ascending {
        no_duplicate(expected, found)?;
        no_gap(expected, found)?;
        expected = found + 1;
    }
    Ok(())
}

/// An acceptance of `accepted` orders gives each one sequence: there are as many as orders.
pub fn all_numbered(accepted: u64, sequences: u64) -> Check {
    require(SequenceComplete, accepted == sequences, || {
        format!("{accepted} orders were accepted with {sequences} sequences")
    })
}

/// Sequences in ascending order contain no duplicate; gaps are allowed.
pub fn unique(ascending: impl IntoIterator<Item = u64>) -> Check {
    let mut expected = 0;
    for found in ascending {
        no_duplicate(expected, found)?;
        expected = found + 1;
    }
    Ok(())
}

/// The next sequence never decreases.
pub fn never_decreases(before: u64, after: u64) -> Check {
    require(SequenceComplete, after >= before, || {
        format!("the next sequence changes from {before} to {after}")
    })
}

/// A transaction that moves the next event sequence from `from` to `to` writes exactly that many events.
pub fn events_counted(from: i64, to: i64, events: i64) -> Check {
    require(SequenceComplete, to.checked_sub(from) == Some(events) && events >= 0, || {
        format!("{events} events for the sequences {from} to {to}, exclusively")
    })
}

/// The cursor of published events moves forward.
pub fn cursor_advances(from: i64, to: i64) -> Check {
    require(SequenceComplete, to > from, || {
        format!("the cursor of published events moves from {from} to {to}")
    })
}

/// Each event of a stream has a higher sequence than the one before.
pub fn ascending(before: Option<i64>, next: i64) -> Check {
    require(SequenceComplete, before.is_none_or(|before| next > before), || {
        format!("event {next} follows event {}", before.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn duplicates_and_gaps_are_named() {
        assert_eq!(complete(1, [1, 2, 3]), Ok(()));
        assert_eq!(complete(1, []), Ok(()));
        let text = |check: Check| check.unwrap_err().detail;
        assert_eq!(text(complete(1, [1, 2, 2])), "sequence 2 exists twice");
        assert_eq!(text(complete(1, [1, 4])), "sequences 2 to 3 are missing");
        assert_eq!(text(complete(1, [2])), "sequences 1 to 1 are missing");
        assert!(unique([1, 4, 9]).is_ok() && unique([1, 4, 4]).is_err());
    }

    #[test]
    fn events_are_counted_and_ascend() {
        assert!(events_counted(5, 8, 3).is_ok() && events_counted(5, 8, 2).is_err());
        assert!(events_counted(8, 5, -3).is_err(), "a sequence never goes back");
        assert!(
            ascending(None, 1).is_ok() && ascending(Some(1), 2).is_ok() && ascending(Some(2), 2).is_err()
        );
        assert!(never_decreases(3, 3).is_ok() && never_decreases(3, 2).is_err());
    }

    proptest! {
        /// Removing an inner element of a complete run, or doubling any element, is detected.
        #[test]
        fn any_single_change_of_a_complete_run_is_detected(first in 0..100u64, length in 2..50usize, index in 0..50usize, duplicate: bool) {
            let mut run: Vec<u64> = (first..).take(length).collect();
            prop_assert_eq!(complete(first, run.clone()), Ok(()));
            let index = index % (length - 1);
            if duplicate {
                run.insert(index, run[index]);
                prop_assert!(unique(run.clone()).is_err());
            } else {
                run.remove(index);
                prop_assert_eq!(unique(run.clone()), Ok(()));
            }
            prop_assert!(complete(first, run).is_err());
        }
    }
}

//! Invariant 8: an order only makes legal transitions, and its history leads to its status.

use std::fmt::Display;

use crate::Invariant::LegalTransitions;
use crate::{Check, require};

/// A history starts at `initial`, makes only legal transitions, and ends with `current`. `is_legal` is the lifecycle's
/// own table.
pub fn leads_to<S: Copy + Display + PartialEq>(
    initial: S,
    history: impl IntoIterator<Item = S>,
    current: S,
    is_legal: impl Fn(S, S) -> bool,
) -> Check {
    let mut last = initial;
    for next in history {
        require(LegalTransitions, is_legal(last, next), || {
            format!("the lifecycle has no transition from {last} to {next}")
        })?;
        last = next;
    }
    require(LegalTransitions, last == current, || {
        format!("the history ends with {last}, the order is {current}")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A small lifecycle: each status leads to the next one.
    fn is_legal(from: u8, to: u8) -> bool {
        to == from + 1
    }

    #[test]
    fn a_skipped_status_and_a_wrong_end_are_detected() {
        assert_eq!(leads_to(0, [1, 2, 3], 3, is_legal), Ok(()));
        let text = |check: Check| check.unwrap_err().detail;
        assert_eq!(text(leads_to(0, [1, 3], 3, is_legal)), "the lifecycle has no transition from 1 to 3");
        assert_eq!(text(leads_to(0, [1, 2], 3, is_legal)), "the history ends with 2, the order is 3");
        assert_eq!(leads_to(0, [], 0, is_legal), Ok(()));
    }

    proptest! {
        #[test]
        fn a_history_with_a_removed_entry_is_detected(length in 2..30u8, removed in 0..30usize) {
            let mut history: Vec<u8> = (1..=length).collect();
            prop_assert_eq!(leads_to(0, history.clone(), length, is_legal), Ok(()));
            history.remove(removed % usize::from(length));
            prop_assert!(leads_to(0, history, length, is_legal).is_err());
        }
    }
}

//! Checks the invariants of ARCHITECTURE.md while a program runs. A violation is a fault of the program: it is counted
//! and logged, and ends the task in a build with debug assertions, such as that of the tests.

use invariants::{Check, Invariant};

crate::metrics! {
    static VIOLATIONS: Counter["invariant"] = "invariant_violations_total",
        "Invariants that did not hold where this program decides or changes stock, sequences, money, positions or epochs. Any increase is a fault of the program.",
        zero = Invariant::ALL.map(|invariant| [invariant.as_str()]);
}

/// Counts and logs a violation, in the words of the predicate. `subject`: the sale, order or partition.
///
/// # Panics
///
/// With debug assertions, if the invariant is violated.
#[track_caller]
pub fn check(subject: impl std::fmt::Display, check: Check) {
    let Err(violation) = check else { return };
    let (invariant, detail) = (violation.invariant.as_str(), &violation.detail);
    VIOLATIONS.with([invariant]).increment(1);
    tracing::error!(%subject, invariant, detail, "an invariant was violated");
    debug_assert!(false, "{subject}: {violation}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_not_reported() {
        check("sale s", invariants::position::advances(3, 4));
    }

    #[test]
    #[should_panic(expected = "partition 3: position_consistent: the position moves from 4 to 4")]
    fn a_violation_ends_a_test_and_names_the_invariant() {
        check("partition 3", invariants::position::advances(4, 4));
    }
}

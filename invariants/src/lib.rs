//! The invariants of ARCHITECTURE.md as pure predicates over small plain values. The model (`model/src/properties.rs`),
//! the checker (`loadtest/checker`), the programs at run time (`process::invariant`) and the tests use the same
//! predicates, so that each invariant is stated once.
//!
//! | module       | invariants                                                             |
//! |--------------|------------------------------------------------------------------------|
//! | [`stock`]    | 1, 5, 6: no unit is sold twice, lost or left over                      |
//! | [`orders`]   | 2, 3, 4: acceptances, the limit per customer, and one order per key    |
//! | [`sequence`] | 7: sequences without duplicate or gap                                  |
//! | [`history`]  | 8: only legal transitions                                              |
//! | [`money`]    | 9: captured and refunded money pays for the paid orders                |
//! | [`position`] | 10: positions, epochs and watermarks advance together with the effects |
//!
//! The crate does no I/O and has no dependency: callers pass what they have read. A predicate allocates only when it
//! reports a violation.

pub mod history;
pub mod money;
pub mod orders;
pub mod position;
pub mod sequence;
pub mod stock;

use std::fmt;

/// The invariants, by their numbers in ARCHITECTURE.md where they have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// 1: held + sold ≤ total.
    NeverOversold,
    /// 2: every 202 has its order row.
    AcceptanceSettled,
    /// 3: no customer has more live orders than the limit.
    CustomerLimit,
    /// 4: one customer and key give one order.
    OneOrderPerKey,
    /// 5: available + held + sold + dead-lettered = total.
    UnitsConserved,
    /// 6: if demand exceeds supply, nothing is left over.
    NothingLeftOver,
    /// 7: sequences have no duplicate and no gap.
    SequenceComplete,
    /// 8: only legal transitions.
    LegalTransitions,
    /// 9: captured − refunded = totals of paid orders.
    MoneyBalanced,
    /// 10: the position and the effects of the records before it are consistent.
    PositionConsistent,
    /// An epoch never decreases, and no gateway responds from an ended epoch.
    EpochMonotonic,
    /// The release watermark never decreases.
    WatermarkMonotonic,
}

impl Invariant {
    /// The list of every invariant.
    pub const ALL: [Self; 12] = [
        Self::NeverOversold,
        Self::AcceptanceSettled,
        Self::CustomerLimit,
        Self::OneOrderPerKey,
        Self::UnitsConserved,
        Self::NothingLeftOver,
        Self::SequenceComplete,
        Self::LegalTransitions,
        Self::MoneyBalanced,
        Self::PositionConsistent,
        Self::EpochMonotonic,
        Self::WatermarkMonotonic,
    ];

    /// Returns the name in metrics and logs, which never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverOversold => "never_oversold",
            Self::AcceptanceSettled => "acceptance_settled",
            Self::CustomerLimit => "customer_limit",
            Self::OneOrderPerKey => "one_order_per_key",
            Self::UnitsConserved => "units_conserved",
            Self::NothingLeftOver => "nothing_left_over",
            Self::SequenceComplete => "sequence_complete",
            Self::LegalTransitions => "legal_transitions",
            Self::MoneyBalanced => "money_balanced",
            Self::PositionConsistent => "position_consistent",
            Self::EpochMonotonic => "epoch_monotonic",
            Self::WatermarkMonotonic => "watermark_monotonic",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A violated invariant, with the values that violate it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The violated invariant.
    pub invariant: Invariant,
    /// The values, as a sentence for an operator.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

impl std::error::Error for Violation {}

/// The result of a predicate.
pub type Check = Result<(), Violation>;

/// Returns `Ok` if `holds`, else a violation with the lazily formatted `detail`.
fn require(invariant: Invariant, holds: bool, detail: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_invariant_has_a_name_of_its_own() {
        let names: HashSet<_> = Invariant::ALL.iter().map(|invariant| invariant.as_str()).collect();
        assert_eq!(names.len(), Invariant::ALL.len());
    }

    #[test]
    fn a_violation_names_its_invariant_and_values() {
        let violation = require(Invariant::NeverOversold, false, || "3 of 2".into()).unwrap_err();
        assert_eq!(violation.to_string(), "never_oversold: 3 of 2");
        assert_eq!(require(Invariant::NeverOversold, true, || unreachable!()), Ok(()));
    }
}

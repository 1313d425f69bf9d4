//! Invariants 1, 5 and 6: no unit is sold twice, lost or left over.

use crate::Invariant::{NeverOversold, NothingLeftOver, UnitsConserved};
use crate::{Check, require};

/// The units of an item in Postgres.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    /// The total number of units; `None` means unlimited.
    pub total: Option<u64>,
    /// The units of unpaid orders.
    pub held: u64,
    /// The units of paid orders.
    pub sold: u64,
    /// The units of undecided dead letters.
    pub dead_lettered: u64,
}

impl Stock {
    /// Returns the available units, negative when oversold; `None` if the item is unlimited.
    pub fn available(&self) -> Option<i128> {
        let taken = i128::from(self.held) + i128::from(self.sold) + i128::from(self.dead_lettered);
        self.total.map(|total| i128::from(total) - taken)
    }
}

/// Invariant 1: the units that are held or sold never exceed the total.
pub fn never_oversold(stock: &Stock) -> Check {
    let Stock { total, held, sold, .. } = *stock;
    let taken = u128::from(held) + u128::from(sold);
    require(NeverOversold, total.is_none_or(|total| taken <= total.into()), || {
        format!("{held} held + {sold} sold of {}", total.unwrap_or_default())
    })
}

/// Invariant 1: the units of an item's live orders never exceed the total; `None` means unlimited.
pub fn orders_within(total: Option<u64>, ordered: u64) -> Check {
    require(NeverOversold, total.is_none_or(|total| ordered <= total), || {
        format!("the order lines add up to {ordered} of {}", total.unwrap_or_default())
    })
}

/// Invariant 1: the units of an item that are held or sold equal the units of its live orders.
pub fn orders_match(stock: &Stock, ordered: u64) -> Check {
    let taken = u128::from(stock.held) + u128::from(stock.sold);
    require(NeverOversold, taken == ordered.into(), || {
        format!("held + sold is {taken}, the order lines add up to {ordered}")
    })
}

/// Invariant 5, at rest: every unit is available in Redis, in an order or in a dead letter. `in_redis` includes
/// announced units. An unlimited item has nothing to conserve.
pub fn conserved(stock: &Stock, in_redis: u64) -> Check {
    let Stock { total, held, sold, dead_lettered } = *stock;
    let sum = u128::from(in_redis) + u128::from(held) + u128::from(sold) + u128::from(dead_lettered);
    require(UnitsConserved, total.is_none_or(|total| sum == total.into()), || {
        format!(
            "{in_redis} in Redis + {held} held + {sold} sold + {dead_lettered} dead-lettered = {sum}, the total is {}",
            total.unwrap_or_default()
        )
    })
}

/// The changes of an item's units in one transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitFlow {
    /// The units of new orders.
    pub ordered: u64,
    /// The units that are released to Redis.
    pub released: u64,
    /// The change of held units.
    pub held: i64,
    /// The change of sold units.
    pub sold: i64,
}

/// Invariant 5, in every transaction: units that are ordered become held or sold, and units that are no longer held
/// or sold are released.
pub fn flow_balanced(flow: &UnitFlow) -> Check {
    let UnitFlow { ordered, released, held, sold } = *flow;
    let change = i128::from(held) + i128::from(sold);
    let expected = i128::from(ordered) - i128::from(released);
    require(UnitsConserved, change == expected, || {
        format!("{ordered} ordered - {released} released, but held changes by {held} and sold by {sold}")
    })
}

/// Invariant 6: an order is refused as sold out only if fewer units are available than it requests.
pub fn refusal_is_true(requested: u64, available: u64) -> Check {
    require(NothingLeftOver, available < requested, || {
        format!("an order of {requested} units was refused with {available} available")
    })
}

/// Invariant 6: after a refusal with `remaining` units and without releases since, no more than these are left.
pub fn nothing_left_over(left: i128, remaining: u64) -> Check {
    require(NothingLeftOver, left <= remaining.into(), || {
        format!("an order was refused with {remaining} remaining, and {left} are left over")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stock(total: Option<u64>, held: u64, sold: u64, dead_lettered: u64) -> Stock {
        Stock { total, held, sold, dead_lettered }
    }

    #[test]
    fn one_unit_too_many_is_oversold() {
        assert_eq!(never_oversold(&stock(Some(3), 1, 2, 0)), Ok(()));
        let violation = never_oversold(&stock(Some(3), 2, 2, 0)).unwrap_err();
        assert_eq!(violation.to_string(), "never_oversold: 2 held + 2 sold of 3");
        assert_eq!(
            never_oversold(&stock(None, u64::MAX, u64::MAX, 0)),
            Ok(()),
            "unlimited, without an overflow"
        );
        assert!(never_oversold(&stock(Some(u64::MAX), u64::MAX, 1, 0)).is_err(), "the sum does not wrap");
    }

    #[test]
    fn a_lost_and_an_extra_unit_are_detected() {
        let item = stock(Some(10), 3, 2, 1);
        assert_eq!(conserved(&item, 4), Ok(()));
        assert!(conserved(&item, 3).is_err() && conserved(&item, 5).is_err());
        assert_eq!(item.available(), Some(4));
        assert_eq!(conserved(&stock(None, 3, 2, 1), 77), Ok(()));
        assert!(orders_match(&item, 5).is_ok() && orders_match(&item, 4).is_err());
    }

    #[test]
    fn units_left_over_after_a_refusal_are_detected() {
        assert!(nothing_left_over(2, 2).is_ok() && nothing_left_over(3, 2).is_err());
        assert!(nothing_left_over(-1, 0).is_ok(), "oversold is another invariant");
    }

    proptest! {
        /// Orders, payments and releases in any order keep the units balanced; any single error does not.
        #[test]
        fn a_sequence_of_legal_changes_is_balanced(steps in prop::collection::vec((0..3u8, 1..20u64), 0..40), error in -5..=5i64) {
            let (mut held, mut sold) = (0u64, 0u64);
            let mut flow = UnitFlow::default();
            for (step, units) in steps {
                match step {
                    0 => { held += units; flow.ordered += units; flow.held += units as i64; }
                    1 => {
                        let paid = units.min(held);
                        (held, sold) = (held - paid, sold + paid);
                        (flow.held, flow.sold) = (flow.held - paid as i64, flow.sold + paid as i64);
                    }
                    _ => {
                        let released = units.min(held);
                        held -= released;
                        (flow.released, flow.held) = (flow.released + released, flow.held - released as i64);
                    }
                }
            }
            prop_assert_eq!(flow_balanced(&flow), Ok(()));
            flow.sold += error;
            prop_assert_eq!(flow_balanced(&flow).is_ok(), error == 0);
        }

        /// An item is conserved for exactly one number of units in Redis: those that Postgres has available.
        #[test]
        fn conservation_defines_the_units_in_redis(total in 0..1000u64, held in 0..1000u64, sold in 0..1000u64, dead in 0..1000u64, in_redis in 0..1000u64) {
            let item = stock(Some(total), held, sold, dead);
            prop_assert_eq!(conserved(&item, in_redis).is_ok(), item.available() == Some(in_redis.into()));
            if conserved(&item, in_redis).is_ok() {
                prop_assert_eq!(never_oversold(&item), Ok(()));
            }
        }
    }
}

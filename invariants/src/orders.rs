//! Invariants 2, 3 and 4: acceptances have orders, customers keep to the limit, and one key gives one order.

use crate::Invariant::{AcceptanceSettled, CustomerLimit, OneOrderPerKey};
use crate::{Check, require};

/// Invariant 2: an order that was acknowledged with 202 has a row once the log is settled.
pub fn acceptance_settled(has_row: bool) -> Check {
    require(AcceptanceSettled, has_row, || "the order was accepted with 202 and has no row".into())
}

/// Invariant 3: a customer has at most `limit` live orders; `None` means unlimited.
pub fn within_limit(live_orders: u64, limit: Option<u64>) -> Check {
    require(CustomerLimit, limit.is_none_or(|limit| live_orders <= limit), || {
        format!("the customer has {live_orders} live orders, the limit is {}", limit.unwrap_or_default())
    })
}

/// Invariant 4: all acknowledgements and rows of one customer and key name the same order.
pub fn one_order_per_key<T: PartialEq>(orders: impl IntoIterator<Item = T>) -> Check {
    let mut orders = orders.into_iter();
    let Some(first) = orders.next() else { return Ok(()) };
    let others = orders.filter(|order| *order != first).count();
    require(OneOrderPerKey, others == 0, || {
        format!("{others} responses or rows of one key name another order")
    })
}

/// Invariant 4: a refusal leaves no live order under its key.
pub fn refusal_leaves_no_order(live_orders: usize) -> Check {
    require(OneOrderPerKey, live_orders == 0, || {
        format!("the key was refused and has {live_orders} live orders")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_is_inclusive_and_optional() {
        assert!(within_limit(2, Some(2)).is_ok() && within_limit(3, Some(2)).is_err());
        assert_eq!(within_limit(u64::MAX, None), Ok(()));
    }

    #[test]
    fn an_acceptance_without_a_row_and_a_refusal_with_an_order_are_detected() {
        assert!(acceptance_settled(true).is_ok() && acceptance_settled(false).is_err());
        assert!(refusal_leaves_no_order(0).is_ok() && refusal_leaves_no_order(1).is_err());
    }

    proptest! {
        #[test]
        fn one_key_has_one_order_exactly_if_all_are_equal(orders in prop::collection::vec(0..3u8, 0..6)) {
            let equal = orders.windows(2).all(|pair| pair[0] == pair[1]);
            prop_assert_eq!(one_order_per_key(orders).is_ok(), equal);
        }
    }
}

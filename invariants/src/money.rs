//! Invariant 9: captured minus refunded money equals the totals of the paid orders, and wallets equal their entries.
//! All amounts are in the minor unit of one currency.

use crate::Invariant::MoneyBalanced;
use crate::{Check, require};

/// The amounts of one order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// The sum of the lines.
    pub subtotal: u64,
    /// The discount on the subtotal.
    pub discount: u64,
    /// The delivery fee.
    pub delivery_fee: u64,
    /// The amount to pay.
    pub total: u64,
}

/// An order's total is its subtotal minus the discount, which never exceeds the subtotal, plus the delivery fee.
pub fn amounts_add_up(amounts: &Amounts) -> Check {
    let Amounts { subtotal, discount, delivery_fee, total } = *amounts;
    let expected = subtotal.checked_sub(discount).and_then(|rest| rest.checked_add(delivery_fee));
    require(MoneyBalanced, expected == Some(total), || {
        format!("{subtotal} - {discount} discount + {delivery_fee} delivery fee is not the total {total}")
    })
}

/// The sums of a sale or of one order: the captured money that was not refunded pays for the paid orders.
pub fn balanced(captured: u64, refunded: u64, paid_total: u64) -> Check {
    require(MoneyBalanced, captured.checked_sub(refunded) == Some(paid_total), || {
        format!("{captured} captured - {refunded} refunded, and the paid orders' totals are {paid_total}")
    })
}

/// A payment is of the order's total.
pub fn payment_matches(total: u64, payment: u64) -> Check {
    require(MoneyBalanced, payment == total, || format!("the order costs {total}, its payment is {payment}"))
}

/// The money of an order is captured exactly while the order is paid.
pub fn captured_while_paid(is_paid: bool, is_captured: bool) -> Check {
    require(MoneyBalanced, is_paid == is_captured, || {
        let order = if is_paid { "paid" } else { "not paid" };
        let payment = if is_captured { "captured" } else { "not captured" };
        format!("the order is {order}, its payment is {payment}")
    })
}

/// A wallet is never debited below zero.
pub fn wallet_covers(balance: i64) -> Check {
    require(MoneyBalanced, balance >= 0, || format!("the wallet has {balance} after a debit"))
}

/// A wallet's balance is not negative and equals the sum of its entries.
pub fn wallet_balanced(balance: i64, entries: i64) -> Check {
    require(MoneyBalanced, balance >= 0, || format!("the wallet has {balance}"))?;
    require(MoneyBalanced, balance == entries, || {
        format!("the wallet has {balance}, the sum of its entries is {entries}")
    })
}

/// A wallet pays once for an order and is refunded at most once: the entries of an order are its payment, then its
/// refund. `captured` and `refunded` are the amounts by the order's payment.
pub fn wallet_entries_match(entries: &[i64], captured: u64, refunded: u64) -> Check {
    let payment = (captured > 0).then_some(-i128::from(captured));
    let refund = (refunded > 0).then_some(i128::from(refunded));
    let expected = payment.into_iter().chain(refund);
    require(MoneyBalanced, entries.iter().map(|entry| i128::from(*entry)).eq(expected), || {
        format!("the wallet entries are {entries:?} for {captured} captured and {refunded} refunded")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_discount_above_the_subtotal_and_a_wrong_total_are_detected() {
        let amounts = Amounts { subtotal: 2500, discount: 250, delivery_fee: 300, total: 2550 };
        assert_eq!(amounts_add_up(&amounts), Ok(()));
        assert!(amounts_add_up(&Amounts { total: 2551, ..amounts }).is_err());
        assert!(amounts_add_up(&Amounts { discount: 2501, total: 299, ..amounts }).is_err());
    }

    #[test]
    fn money_is_captured_exactly_while_the_order_is_paid() {
        assert!(captured_while_paid(true, true).is_ok() && captured_while_paid(false, false).is_ok());
        assert!(captured_while_paid(true, false).is_err() && captured_while_paid(false, true).is_err());
        assert!(payment_matches(5, 5).is_ok() && payment_matches(5, 6).is_err());
        assert!(balanced(5, 6, 0).is_err(), "more refunded than captured");
    }

    #[test]
    fn a_wallet_is_debited_and_credited_once() {
        assert_eq!(wallet_entries_match(&[-100, 100], 100, 100), Ok(()));
        assert!(wallet_entries_match(&[-100, -100], 100, 0).is_err());
        assert!(wallet_entries_match(&[100, -100], 100, 100).is_err(), "the payment precedes the refund");
        assert!(
            wallet_balanced(0, 0).is_ok()
                && wallet_balanced(-1, -1).is_err()
                && wallet_balanced(2, 1).is_err()
        );
    }

    proptest! {
        /// Paying and refunding orders in full keeps the sums balanced; any error does not.
        #[test]
        fn payments_and_refunds_in_full_balance(orders in prop::collection::vec((1..10_000u64, 0..3u8), 0..30), error in 0..3u64) {
            let (mut captured, mut refunded, mut paid) = (0, 0, 0);
            for (total, state) in orders {
                if state > 0 { captured += total; }
                if state == 1 { paid += total; }
                if state == 2 { refunded += total; }
            }
            prop_assert_eq!(balanced(captured, refunded, paid), Ok(()));
            prop_assert_eq!(balanced(captured + error, refunded, paid).is_ok(), error == 0);
        }
    }
}

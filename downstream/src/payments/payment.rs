//! A card payment as Postgres stores it, and the action that it needs next.

use contract::ids::{OrderId, SaleId};
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use contract::payment::PaymentStatus;
use process::postgres::DatabaseError;
use uuid::Uuid;

use crate::queries::PaymentRow;

/// A row of `payment`, with the needed columns of its order and its sale.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the columns say it
pub struct Payment {
    pub payment_id: Uuid,
    pub order_id: OrderId,
    pub sale_id: SaleId,
    pub token: Option<String>,
    pub status: PaymentStatus,
    pub amount: u64,
    pub currency: Currency,
    pub order_status: OrderStatus,
    /// The partition of the topic `orders`.
    pub partition: i32,
}

/// The action that a payment needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentAction {
    /// The payment needs nothing, or nothing any more.
    Nothing,
    /// Charge the card.
    Charge,
    /// Query the payment, and charge the card only if the provider does not know the payment.
    Query,
    /// Void the payment, because the order is cancelled. The response says whether money was captured before.
    Void,
    /// Refund the payment.
    Refund,
}

impl Payment {
    /// Returns the next action. `tried` says whether the provider may know the payment.
    pub fn next_action(&self, tried: bool) -> PaymentAction {
        match (self.status, self.order_status) {
            (PaymentStatus::Requested, OrderStatus::PaymentRequested) if tried => PaymentAction::Query,
            (PaymentStatus::Requested, OrderStatus::PaymentRequested) => PaymentAction::Charge,
            (PaymentStatus::Requested, OrderStatus::Cancelled) => PaymentAction::Void,
            (PaymentStatus::RefundRequested, _) => PaymentAction::Refund,
            _ => PaymentAction::Nothing,
        }
    }

    /// Parses the row of a payment.
    pub fn from_row(row: PaymentRow) -> Result<Self, DatabaseError> {
        let id = row.payment_id;
        let invalid = |what: &str| DatabaseError::Invalid(format!("payment {id} has an invalid {what}"));
        Ok(Self {
            payment_id: id,
            order_id: row.order_id,
            sale_id: SaleId::parse(&row.sale_id).map_err(|_| invalid("sale id"))?,
            token: row.token,
            status: PaymentStatus::parse(&row.payment_status).ok_or_else(|| invalid("status"))?,
            amount: u64::try_from(row.amount).map_err(|_| invalid("amount"))?,
            currency: Currency::parse(&row.currency).ok_or_else(|| invalid("currency"))?,
            order_status: OrderStatus::parse(&row.order_status).ok_or_else(|| invalid("order status"))?,
            partition: row.partition,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(status: PaymentStatus, order_status: OrderStatus) -> Payment {
        Payment {
            payment_id: Uuid::nil(),
            order_id: OrderId(Uuid::nil()),
            sale_id: SaleId::parse("s").unwrap(),
            token: None,
            status,
            amount: 1000,
            currency: Currency::KRW,
            order_status,
            partition: 0,
        }
    }

    #[test]
    fn a_card_is_charged_only_while_the_order_waits_for_its_payment() {
        for order_status in OrderStatus::ALL {
            for tried in [false, true] {
                let action = payment(PaymentStatus::Requested, order_status).next_action(tried);
                let expected = match order_status {
                    OrderStatus::PaymentRequested if tried => PaymentAction::Query,
                    OrderStatus::PaymentRequested => PaymentAction::Charge,
                    OrderStatus::Cancelled => PaymentAction::Void,
                    _ => PaymentAction::Nothing,
                };
                assert_eq!(action, expected, "{order_status:?}");
            }
        }
    }

    #[test]
    fn a_requested_refund_is_made_and_a_decided_payment_needs_nothing() {
        for order_status in OrderStatus::ALL {
            let refund = payment(PaymentStatus::RefundRequested, order_status);
            assert_eq!(refund.next_action(true), PaymentAction::Refund);
            for decided in [PaymentStatus::Captured, PaymentStatus::Failed, PaymentStatus::Refunded] {
                assert_eq!(payment(decided, order_status).next_action(false), PaymentAction::Nothing);
            }
        }
    }
}

//! A card payment as Postgres has it, and what is to be done about it.

use contract::ids::{OrderId, SaleId};
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use contract::payment::PaymentStatus;
use process::postgres::DatabaseError;
use tokio_postgres::Row;
use uuid::Uuid;

/// A row of `payment`, with what is needed of its order and its sale.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub struct Payment {
    pub payment_id: Uuid,
    pub order_id: OrderId,
    pub sale_id: SaleId,
    pub token: Option<String>,
    pub status: PaymentStatus,
    pub amount: u64,
    pub currency: Currency,
    pub order_status: OrderStatus,
    /// Of the topic `orders`.
    pub partition: i32,
}

/// What is to be done about a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentAction {
    /// Nothing, or nothing any more.
    Nothing,
    /// Take the money.
    Charge,
    /// Ask what became of it, and take the money only if the provider has never heard of it.
    Query,
    /// The order is cancelled: make sure that no money is taken, or learn that it was.
    Void,
    /// Give the money back.
    Refund,
}

impl Payment {
    /// By what is written. `tried`: the provider may have heard of it.
    pub fn step(&self, tried: bool) -> PaymentAction {
        match (self.status, self.order_status) {
            (PaymentStatus::Requested, OrderStatus::PaymentRequested) if tried => PaymentAction::Query,
            (PaymentStatus::Requested, OrderStatus::PaymentRequested) => PaymentAction::Charge,
            (PaymentStatus::Requested, OrderStatus::Cancelled) => PaymentAction::Void,
            (PaymentStatus::RefundRequested, _) => PaymentAction::Refund,
            _ => PaymentAction::Nothing,
        }
    }

    /// From the first nine columns of the queries.
    pub fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        let (id, sale, status, amount, currency, order_status): (Uuid, &str, &str, i64, &str, &str) =
            (row.get(0), row.get(2), row.get(4), row.get(5), row.get(6), row.get(7));
        let invalid = |what: &str| DatabaseError::Invalid(format!("payment {id}: {what}"));
        Ok(Self {
            payment_id: id,
            order_id: OrderId(row.get(1)),
            sale_id: SaleId::parse(sale).map_err(|_| invalid("its sale"))?,
            token: row.get(3),
            status: PaymentStatus::parse(status).ok_or_else(|| invalid("its status"))?,
            amount: u64::try_from(amount).map_err(|_| invalid("its amount"))?,
            currency: Currency::parse(currency).ok_or_else(|| invalid("its currency"))?,
            order_status: OrderStatus::parse(order_status).ok_or_else(|| invalid("its order's status"))?,
            partition: row.get(8),
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
    fn money_is_asked_for_only_while_the_order_waits_for_it() {
        for order_status in OrderStatus::ALL {
            for tried in [false, true] {
                let step = payment(PaymentStatus::Requested, order_status).step(tried);
                let expected = match order_status {
                    OrderStatus::PaymentRequested if tried => PaymentAction::Query,
                    OrderStatus::PaymentRequested => PaymentAction::Charge,
                    OrderStatus::Cancelled => PaymentAction::Void,
                    _ => PaymentAction::Nothing,
                };
                assert_eq!(step, expected, "{order_status:?}");
            }
        }
    }

    #[test]
    fn money_goes_back_once_it_is_to_and_nothing_else_happens_to_what_is_decided() {
        for order_status in OrderStatus::ALL {
            assert_eq!(
                payment(PaymentStatus::RefundRequested, order_status).step(true),
                PaymentAction::Refund
            );
            for decided in [PaymentStatus::Captured, PaymentStatus::Failed, PaymentStatus::Refunded] {
                assert_eq!(payment(decided, order_status).step(false), PaymentAction::Nothing);
            }
        }
    }
}

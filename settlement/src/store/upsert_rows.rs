//! The rows that change with an order: its own, its payment's and its delivery's. A batch writes each row once, even if
//! the order changed several times.

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, Language};
use contract::order::Fulfilment;
use contract::payment::{delivery_id, payment_id};
use contract::timestamp::Timestamp;
use deadpool_postgres::Transaction;
use time::OffsetDateTime;

use super::{BatchSpan, StoreError};
use crate::decide::delivery_schedule::COURIER;
use crate::decide::order_state::OrderState;
use crate::queries::{
    DeliveryColumns, MoveOrders, OrderMoveColumns, PaymentColumns, UpsertDeliveries, UpsertPayments,
};

/// Writes the rows of changed orders.
pub async fn write(
    tx: &Transaction<'_>,
    span: BatchSpan,
    changed: &[(OrderId, OrderState<'_>)],
) -> Result<(), StoreError> {
    let updated_at = span.at.to_datetime();
    let tracking_numbers: Vec<String> =
        changed.iter().map(|(id, order)| tracking_number(*id, order)).collect();
    let mut orders = OrderMoveColumns::default();
    let mut payments = PaymentColumns::default();
    let mut deliveries = DeliveryColumns::default();
    for ((id, order), tracking_number) in changed.iter().zip(&tracking_numbers) {
        orders.push(*id, order);
        payments.push(*id, order);
        deliveries.push(*id, order, tracking_number);
    }
    if (MoveOrders { updated_at, columns: &orders }.execute(tx).await?) != changed.len() as u64 {
        return Err(StoreError::Refused("an order to update does not exist".into()));
    }
    if !payments.order_id.is_empty() {
        UpsertPayments { updated_at, columns: &payments }.execute(tx).await?;
    }
    if !deliveries.order_id.is_empty() {
        UpsertDeliveries { partition: span.partition, updated_at, columns: &deliveries }.execute(tx).await?;
    }
    Ok(())
}

/// Returns the tracking number of an order that is shipped.
fn tracking_number(id: OrderId, order: &OrderState<'_>) -> String {
    order.delivery.map_or_else(String::new, |delivery| format!("TRACK-{id}-{}", delivery.started_at.0))
}

impl OrderMoveColumns<'_> {
    fn push(&mut self, id: OrderId, order: &OrderState<'_>) {
        self.order_id.push(id);
        self.status.push(order.status);
        self.reason.push(order.cancel_reason.map(CancelReason::as_str));
    }
}

impl<'a> PaymentColumns<'a> {
    fn push(&mut self, id: OrderId, order: &OrderState<'a>) {
        let Some(payment) = order.payment else { return };
        self.payment_id.push(payment_id(id));
        self.order_id.push(id);
        self.sale_id.push(order.sale);
        self.customer_id.push(order.customer);
        self.method.push(payment.method);
        self.token.push(payment.token);
        self.status.push(payment.status);
        self.amount.push(order.total() as i64);
        self.currency.push(order.currency);
        self.reason.push(payment.reason);
        self.requested_at.push(payment.requested_at.to_datetime());
        self.captured_at.push(to_datetime(payment.captured_at));
        self.refund_requested_at.push(to_datetime(payment.refund_requested_at));
        self.refunded_at.push(to_datetime(payment.refunded_at));
    }
}

impl<'a> DeliveryColumns<'a> {
    fn push(&mut self, id: OrderId, order: &OrderState<'a>, tracking_number: &'a str) {
        let Some(delivery) = order.delivery else { return };
        let is_shipped = order.fulfilment == Fulfilment::Ship;
        self.delivery_id.push(delivery_id(id));
        self.order_id.push(id);
        self.sale_id.push(order.sale);
        self.kind.push(order.fulfilment.as_str());
        self.status.push(order.status.as_str());
        self.tracking_number.push(is_shipped.then_some(tracking_number));
        self.courier.push(is_shipped.then_some(COURIER));
        self.started_at.push(delivery.started_at.to_datetime());
        self.shipped_at.push(to_datetime(delivery.shipped_at));
        self.completed_at.push(to_datetime(delivery.completed_at));
        self.estimated_arrival.push(to_datetime(delivery.estimated_arrival));
        self.last_status_message.push(Some(order.status.description(Language::English)));
        self.next_move_at.push(to_datetime(delivery.next_move_at));
    }
}

fn to_datetime(at: Option<Timestamp>) -> Option<OffsetDateTime> {
    at.map(Timestamp::to_datetime)
}

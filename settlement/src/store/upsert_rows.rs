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
use crate::decide::order_state::{DeliveryState, OrderState, PaymentState};
use crate::queries::{
    DeliveryColumns, DeliveryValues, MoveOrders, OrderMoveColumns, OrderMoveValues, PaymentColumns,
    PaymentValues, UpsertDeliveries, UpsertPayments,
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
        orders.push(OrderMoveValues {
            order_id: *id,
            status: order.status,
            reason: order.cancel_reason.map(CancelReason::as_str),
        });
        if let Some(payment) = &order.payment {
            payments.push(PaymentValues::new(*id, order, payment));
        }
        if let Some(delivery) = &order.delivery {
            deliveries.push(DeliveryValues::new(*id, order, delivery, tracking_number));
        }
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

impl<'a> PaymentValues<'a> {
    fn new(id: OrderId, order: &OrderState<'a>, payment: &PaymentState<'a>) -> Self {
        Self {
            payment_id: payment_id(id),
            order_id: id,
            sale_id: order.sale,
            customer_id: order.customer,
            method: payment.method,
            token: payment.token,
            status: payment.status,
            amount: order.total() as i64,
            currency: order.currency,
            reason: payment.reason,
            requested_at: payment.requested_at.to_datetime(),
            captured_at: to_datetime(payment.captured_at),
            refund_requested_at: to_datetime(payment.refund_requested_at),
            refunded_at: to_datetime(payment.refunded_at),
        }
    }
}

impl<'a> DeliveryValues<'a> {
    fn new(id: OrderId, order: &OrderState<'a>, delivery: &DeliveryState, tracking_number: &'a str) -> Self {
        let is_shipped = order.fulfilment == Fulfilment::Ship;
        Self {
            delivery_id: delivery_id(id),
            order_id: id,
            sale_id: order.sale,
            kind: order.fulfilment.as_str(),
            status: order.status.as_str(),
            tracking_number: is_shipped.then_some(tracking_number),
            courier: is_shipped.then_some(COURIER),
            started_at: delivery.started_at.to_datetime(),
            shipped_at: to_datetime(delivery.shipped_at),
            completed_at: to_datetime(delivery.completed_at),
            estimated_arrival: to_datetime(delivery.estimated_arrival),
            last_status_message: Some(order.status.description(Language::English)),
            next_move_at: to_datetime(delivery.next_move_at),
        }
    }
}

fn to_datetime(at: Option<Timestamp>) -> Option<OffsetDateTime> {
    at.map(Timestamp::to_datetime)
}

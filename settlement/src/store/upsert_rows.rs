//! The rows that change with an order: its own, its payment's and its delivery's. A batch writes each row once, even if
//! the order changed several times.

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, Language};
use contract::order::Fulfilment;
use contract::payment::{delivery_id, payment_id};
use contract::timestamp::Timestamp;
use deadpool_postgres::Transaction;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{BatchSpan, StoreError};
use crate::decide::delivery_schedule::COURIER;
use crate::decide::order_state::OrderState;

/// Writes the rows of changed orders.
pub async fn write(
    tx: &Transaction<'_>,
    span: BatchSpan,
    changed: &[(OrderId, OrderState<'_>)],
) -> Result<(), StoreError> {
    let mut orders = OrderUpdates::default();
    let mut payments = PaymentRows::default();
    let mut deliveries = DeliveryRows::default();
    for (id, order) in changed {
        orders.push(*id, order);
        payments.push(*id, order);
        deliveries.push(*id, order);
    }
    orders.write(tx, span).await?;
    payments.write(tx, span).await?;
    deliveries.write(tx, span).await
}

/// The updated columns of `customer_order`.
#[derive(Default)]
struct OrderUpdates {
    order_id: Vec<Uuid>,
    status: Vec<&'static str>,
    reason: Vec<Option<&'static str>>,
}

impl OrderUpdates {
    fn push(&mut self, id: OrderId, order: &OrderState<'_>) {
        self.order_id.push(id.0);
        self.status.push(order.status.as_str());
        self.reason.push(order.cancel_reason.map(CancelReason::as_str));
    }

    async fn write(&self, tx: &Transaction<'_>, span: BatchSpan) -> Result<(), StoreError> {
        let update = tx.prepare_cached(include_str!("../../queries/move_orders.sql")).await?;
        let at = span.at.to_datetime();
        let params: [&(dyn ToSql + Sync); 4] = [&self.order_id, &self.status, &self.reason, &at];
        if tx.execute(&update, &params).await? != self.order_id.len() as u64 {
            return Err(StoreError::Refused("an order to update does not exist".into()));
        }
        Ok(())
    }
}

/// The columns of `payment`.
#[derive(Default)]
struct PaymentRows<'a> {
    payment_id: Vec<Uuid>,
    order_id: Vec<Uuid>,
    sale_id: Vec<&'a str>,
    customer_id: Vec<&'a str>,
    method: Vec<&'static str>,
    token: Vec<Option<&'a str>>,
    status: Vec<&'static str>,
    amount: Vec<i64>,
    currency: Vec<String>,
    reason: Vec<Option<&'a str>>,
    requested_at: Vec<OffsetDateTime>,
    captured_at: Vec<Option<OffsetDateTime>>,
    refund_requested_at: Vec<Option<OffsetDateTime>>,
    refunded_at: Vec<Option<OffsetDateTime>>,
}

impl<'a> PaymentRows<'a> {
    fn push(&mut self, id: OrderId, order: &OrderState<'a>) {
        let Some(payment) = order.payment else { return };
        self.payment_id.push(payment_id(id));
        self.order_id.push(id.0);
        self.sale_id.push(order.sale.as_str());
        self.customer_id.push(order.customer.as_str());
        self.method.push(payment.method.as_str());
        self.token.push(payment.token);
        self.status.push(payment.status.as_str());
        self.amount.push(order.total() as i64);
        self.currency.push(order.currency.to_string());
        self.reason.push(payment.reason);
        self.requested_at.push(payment.requested_at.to_datetime());
        self.captured_at.push(to_datetime(payment.captured_at));
        self.refund_requested_at.push(to_datetime(payment.refund_requested_at));
        self.refunded_at.push(to_datetime(payment.refunded_at));
    }

    async fn write(&self, tx: &Transaction<'_>, span: BatchSpan) -> Result<(), StoreError> {
        if self.order_id.is_empty() {
            return Ok(());
        }
        let upsert = tx.prepare_cached(include_str!("../../queries/upsert_payments.sql")).await?;
        let at = span.at.to_datetime();
        let params: [&(dyn ToSql + Sync); 15] = [
            &self.payment_id,
            &self.order_id,
            &self.sale_id,
            &self.customer_id,
            &self.method,
            &self.token,
            &self.status,
            &self.amount,
            &self.currency,
            &self.reason,
            &self.requested_at,
            &self.captured_at,
            &self.refund_requested_at,
            &self.refunded_at,
            &at,
        ];
        tx.execute(&upsert, &params).await?;
        Ok(())
    }
}

/// The columns of `delivery`.
#[derive(Default)]
struct DeliveryRows<'a> {
    delivery_id: Vec<Uuid>,
    order_id: Vec<Uuid>,
    sale_id: Vec<&'a str>,
    kind: Vec<&'static str>,
    status: Vec<&'static str>,
    tracking_number: Vec<Option<String>>,
    courier: Vec<Option<&'static str>>,
    started_at: Vec<OffsetDateTime>,
    shipped_at: Vec<Option<OffsetDateTime>>,
    completed_at: Vec<Option<OffsetDateTime>>,
    estimated_arrival: Vec<Option<OffsetDateTime>>,
    last_status_message: Vec<&'static str>,
    next_move_at: Vec<Option<OffsetDateTime>>,
}

impl<'a> DeliveryRows<'a> {
    fn push(&mut self, id: OrderId, order: &OrderState<'a>) {
        let Some(delivery) = order.delivery else { return };
        let is_shipped = order.fulfilment == Fulfilment::Ship;
        self.delivery_id.push(delivery_id(id));
        self.order_id.push(id.0);
        self.sale_id.push(order.sale.as_str());
        self.kind.push(order.fulfilment.as_str());
        self.status.push(order.status.as_str());
        self.tracking_number.push(is_shipped.then(|| format!("TRACK-{id}-{}", delivery.started_at.0)));
        self.courier.push(is_shipped.then_some(COURIER));
        self.started_at.push(delivery.started_at.to_datetime());
        self.shipped_at.push(to_datetime(delivery.shipped_at));
        self.completed_at.push(to_datetime(delivery.completed_at));
        self.estimated_arrival.push(to_datetime(delivery.estimated_arrival));
        self.last_status_message.push(order.status.description(Language::English));
        self.next_move_at.push(to_datetime(delivery.next_move_at));
    }

    async fn write(&self, tx: &Transaction<'_>, span: BatchSpan) -> Result<(), StoreError> {
        if self.order_id.is_empty() {
            return Ok(());
        }
        let upsert = tx.prepare_cached(include_str!("../../queries/upsert_deliveries.sql")).await?;
        let at = span.at.to_datetime();
        let params: [&(dyn ToSql + Sync); 15] = [
            &self.delivery_id,
            &self.order_id,
            &self.sale_id,
            &self.kind,
            &self.status,
            &self.tracking_number,
            &self.courier,
            &self.started_at,
            &self.shipped_at,
            &self.completed_at,
            &self.estimated_arrival,
            &self.last_status_message,
            &self.next_move_at,
            &span.partition,
            &at,
        ];
        tx.execute(&upsert, &params).await?;
        Ok(())
    }
}

fn to_datetime(at: Option<Timestamp>) -> Option<OffsetDateTime> {
    at.map(Timestamp::to_datetime)
}

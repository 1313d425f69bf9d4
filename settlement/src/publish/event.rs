//! An event of an order as it is published: the new status of the order, and what it did to the stock.

use contract::event::{InventoryEvent, Movement, OrderEvent, headers, order_event_type};
use contract::ids::{OrderId, Sku};
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::timestamp::Timestamp;
use contract::wire;
use process::kafka::Message;

use crate::decide::effects::CreatedOrder;
use crate::decide::order_state::OrderState;
use crate::queries::SelectEventsRow;

/// A row of `order_event` with its order.
#[derive(Debug)]
pub struct Event {
    /// The sequence of the event within its partition.
    pub seq: i64,
    partition: i32,
    order: OrderEvent,
    stock: Vec<(Sku, u64)>,
}

/// One Kafka message of an event.
pub struct EventMessage<'a> {
    /// Whether the message belongs to `inventory-events`; otherwise it belongs to `order-events`.
    pub is_inventory: bool,
    key: &'a str,
    value: &'a [u8],
    headers: &'a [(&'static str, String)],
}

impl<'a> EventMessage<'a> {
    /// Returns the message for a topic. Its key determines the partition, so that the events of one order, and those of
    /// one SKU, keep their order.
    pub fn for_topic(&self, topic: &'a str) -> Message<'a> {
        Message { topic, partition: None, key: self.key, value: Some(self.value), headers: self.headers }
    }
}

impl Event {
    /// Builds the event from its row.
    pub fn from_row(partition: i32, row: SelectEventsRow) -> Self {
        let stock = row.skus.into_iter().zip(row.quantities.into_iter().map(|quantity| quantity as u64));
        Self {
            seq: row.seq,
            partition,
            stock: stock.collect(),
            order: OrderEvent {
                order_id: row.order_id,
                customer_id: row.customer_id,
                sale_id: row.sale_id,
                status: row.status,
                description: row.status.description(Language::English).into(),
                time: Timestamp::from_datetime(row.at),
                sequence: row.sequence,
                // The table refuses negative amounts.
                subtotal: row.subtotal as u64,
                discount: row.discount as u64,
                delivery_fee: row.delivery_fee as u64,
                total: row.total as u64,
                currency: row.currency,
                // A newer neighbour may have written a reason that this version does not have.
                cancel_reason: row
                    .cancel_reason
                    .as_deref()
                    .and_then(CancelReason::parse)
                    .filter(|_| row.status == OrderStatus::Cancelled),
            },
        }
    }

    /// Builds the event of an order that has just been settled, equal to what [`Self::from_row`] reads back.
    pub fn for_created(partition: i32, seq: i64, created: &CreatedOrder<'_>, time: Timestamp) -> Self {
        let CreatedOrder { batch, order, sequence, currency } = *created;
        let amounts = order.amounts();
        let status = OrderStatus::Created;
        Self {
            seq,
            partition,
            stock: order.lines.iter().map(|line| (line.sku.clone(), u64::from(line.quantity))).collect(),
            order: OrderEvent {
                order_id: order.id,
                customer_id: order.customer.clone(),
                sale_id: batch.sale_id.clone(),
                status,
                description: status.description(Language::English).into(),
                time,
                sequence,
                subtotal: amounts.subtotal,
                discount: amounts.discount,
                delivery_fee: amounts.delivery_fee,
                total: amounts.total(),
                currency: *currency,
                cancel_reason: None,
            },
        }
    }

    /// Builds the event of an order that has just moved to a status, equal to what [`Self::from_row`] reads back.
    pub fn for_transition(
        partition: i32,
        seq: i64,
        order_id: OrderId,
        order: &OrderState<'_>,
        status: OrderStatus,
        time: Timestamp,
    ) -> Self {
        let stock = stock_movement(status).map(|_| order.units()).unwrap_or_default();
        Self {
            seq,
            partition,
            stock: stock.into_iter().map(|(sku, units)| (sku.clone(), units as u64)).collect(),
            order: OrderEvent {
                order_id,
                customer_id: order.customer.clone(),
                sale_id: order.sale.clone(),
                status,
                description: status.description(Language::English).into(),
                time,
                sequence: order.sequence,
                subtotal: order.amounts.subtotal,
                discount: order.amounts.discount,
                delivery_fee: order.amounts.delivery_fee,
                total: order.total(),
                currency: order.currency,
                cancel_reason: order.cancel_reason.filter(|_| status == OrderStatus::Cancelled),
            },
        }
    }

    /// Passes each message of the event to `send`: first the order's, then one per SKU if the stock moved.
    pub fn send_messages<E>(
        &self,
        send: &mut impl FnMut(&EventMessage<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let order = &self.order;
        let id = format!("{}-{}", self.partition, self.seq);
        let key = order.order_id.to_string();
        let value = wire::encode(order);
        let message_headers = headers(&id, &order_event_type(order.status), &key, order.time);
        send(&EventMessage { is_inventory: false, key: &key, value: &value, headers: &message_headers })?;
        let Some(movement) = stock_movement(order.status) else { return Ok(()) };
        for (sku, quantity) in &self.stock {
            let event = InventoryEvent {
                sale_id: order.sale_id.clone(),
                order_id: Some(order.order_id.0),
                sku: sku.clone(),
                quantity: *quantity,
                time: order.time,
            };
            let value = wire::encode(&event);
            let key = format!("{}/{sku}", order.sale_id);
            let message_headers = headers(&format!("{id}-{sku}"), movement.as_str(), &key, order.time);
            send(&EventMessage { is_inventory: true, key: &key, value: &value, headers: &message_headers })?;
        }
        Ok(())
    }
}

/// Returns how an order's units move when it reaches a status.
fn stock_movement(status: OrderStatus) -> Option<Movement> {
    match status {
        OrderStatus::Created => Some(Movement::Reserved),
        OrderStatus::PaymentCompleted => Some(Movement::Confirmed),
        OrderStatus::Cancelled => Some(Movement::Released),
        _ => None,
    }
}

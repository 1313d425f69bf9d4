//! An event of an order as it is published: the new status of the order, and what it did to the stock.

use contract::event::{InventoryEvent, Movement, OrderEvent, headers, order_event_type};
use contract::ids::{CustomerId, OrderId, SaleId, Sequence, Sku};
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::Currency;
use contract::timestamp::Timestamp;
use process::kafka::Message;
use tokio_postgres::Row;

use crate::decide::effects::CreatedOrder;
use crate::decide::order_state::OrderState;
use crate::store::database::DatabaseError;

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
    /// Builds the event from a row of `select_events.sql`.
    pub fn from_row(partition: i32, row: &Row) -> Result<Self, DatabaseError> {
        let seq: i64 = row.get(0);
        let invalid =
            |what: &str| DatabaseError::Invalid(format!("event {partition}-{seq} has an invalid {what}"));
        let status = OrderStatus::parse(row.get(2)).ok_or_else(|| invalid("status"))?;
        let number = |column: usize| row.get::<_, i64>(column) as u64; // checked to be >= 0 by the table
        let (skus, quantities): (Vec<&str>, Vec<i32>) = (row.get(12), row.get(13));
        let stock = skus.iter().zip(quantities);
        let stock = stock.map(|(sku, quantity)| Ok((Sku::parse(sku)?, quantity as u64)));
        Ok(Self {
            seq,
            partition,
            stock: stock.collect::<Result<_, contract::ids::InvalidName>>().map_err(|_| invalid("sku"))?,
            order: OrderEvent {
                order_id: OrderId(row.get(1)),
                customer_id: CustomerId::parse(row.get(4)).map_err(|_| invalid("customer_id"))?,
                sale_id: SaleId::parse(row.get(5)).map_err(|_| invalid("sale_id"))?,
                status,
                description: status.description(Language::English).into(),
                time: Timestamp::from_datetime(row.get(3)),
                sequence: Sequence(number(6)),
                subtotal: number(7),
                discount: number(8),
                delivery_fee: number(9),
                total: number(10),
                currency: Currency::parse(row.get(11)).ok_or_else(|| invalid("currency"))?,
                cancel_reason: row
                    .get::<_, Option<&str>>(14)
                    .and_then(CancelReason::parse)
                    .filter(|_| status == OrderStatus::Cancelled),
            },
        })
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
        // Structs of names, texts and numbers always serialize.
        let value = serde_json::to_vec(order).unwrap_or_default();
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
            let value = serde_json::to_vec(&event).unwrap_or_default();
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

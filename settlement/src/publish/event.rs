//! An event of an order, as the topics tell it: what became of the order, and what it did to stock.

use contract::event::{InventoryEvent, Movement, OrderEvent, headers, order_event_type};
use contract::ids::{CustomerId, OrderId, SaleId, Sequence, Sku};
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::Currency;
use contract::timestamp::Timestamp;
use process::kafka::Message;
use tokio_postgres::Row;

use crate::decide::effects::Created;
use crate::decide::order_state::OrderState;
use crate::store::database::DatabaseError;

/// One row of `order_event`, with its order.
#[derive(Debug)]
pub struct Event {
    /// Its place among the events of its partition.
    pub seq: i64,
    partition: i32,
    order: OrderEvent,
    stock: Vec<(Sku, u64)>,
}

/// One message.
pub struct EventMessage<'a> {
    /// For `inventory-events`; else for `order-events`.
    pub of_stock: bool,
    key: &'a str,
    value: &'a [u8],
    headers: &'a [(&'static str, String)],
}

impl<'a> EventMessage<'a> {
    /// To a topic. The partition follows the key: one order's events, and one SKU's, stay in order.
    pub fn message(&self, topic: &'a str) -> Message<'a> {
        Message { topic, partition: None, key: self.key, value: Some(self.value), headers: self.headers }
    }
}

impl Event {
    /// From a row of `select_events.sql`.
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

    /// Of an order that has just been settled, as [`Self::from_row`] would read it back.
    pub fn created(partition: i32, seq: i64, created: &Created<'_>, time: Timestamp) -> Self {
        let Created { batch, order, sequence, currency } = *created;
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

    /// Of an order that has just moved to a state, as [`Self::from_row`] would read it back.
    pub fn moved(
        partition: i32,
        seq: i64,
        order_id: OrderId,
        order: &OrderState<'_>,
        status: OrderStatus,
        time: Timestamp,
    ) -> Self {
        let stock = movement(status).map(|_| order.units()).unwrap_or_default();
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

    /// Tells it: to the order's followers, then of each SKU to those of stock.
    pub fn tell<E>(&self, tell: &mut impl FnMut(&EventMessage<'_>) -> Result<(), E>) -> Result<(), E> {
        let order = &self.order;
        let id = format!("{}-{}", self.partition, self.seq);
        let key = order.order_id.to_string();
        // Structs of names, texts and numbers always serialize.
        let value = serde_json::to_vec(order).unwrap_or_default();
        let about = headers(&id, &order_event_type(order.status), &key, order.time);
        tell(&EventMessage { of_stock: false, key: &key, value: &value, headers: &about })?;
        let Some(movement) = movement(order.status) else { return Ok(()) };
        for (sku, quantity) in &self.stock {
            let moved = InventoryEvent {
                sale_id: order.sale_id.clone(),
                order_id: Some(order.order_id.0),
                sku: sku.clone(),
                quantity: *quantity,
                time: order.time,
            };
            let value = serde_json::to_vec(&moved).unwrap_or_default();
            let key = format!("{}/{sku}", order.sale_id);
            let about = headers(&format!("{id}-{sku}"), movement.as_str(), &key, order.time);
            tell(&EventMessage { of_stock: true, key: &key, value: &value, headers: &about })?;
        }
        Ok(())
    }
}

/// What a state does to an order's units.
fn movement(status: OrderStatus) -> Option<Movement> {
    match status {
        OrderStatus::Created => Some(Movement::Reserved),
        OrderStatus::PaymentCompleted => Some(Movement::Confirmed),
        OrderStatus::Cancelled => Some(Movement::Released),
        _ => None,
    }
}

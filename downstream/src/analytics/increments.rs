//! Computes by how much a batch of events increments the aggregates, without Postgres.

use std::collections::{BTreeMap, HashMap};

use contract::event::OrderEvent;
use contract::ids::{OrderId, SaleId};
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::money::Currency;
use contract::timestamp::Timestamp;

const SECOND_MS: u64 = 1000;
const HOUR_MS: u64 = 3_600_000;

/// The events of an order that are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedOrder {
    /// The sale of the order.
    pub sale_id: SaleId,
    /// The statuses that are counted, one bit for each.
    pub seen: i32,
    /// The time of the payment.
    pub paid_at: Option<Timestamp>,
    /// The time of the shipment.
    pub shipped_at: Option<Timestamp>,
}

/// The increments of a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the columns of analytics_sale
pub struct SaleIncrements {
    pub currency: Currency,
    pub accepted: i64,
    pub payment_requested: i64,
    pub paid: i64,
    pub payment_failed: i64,
    pub expired: i64,
    pub cancelled: i64,
    pub shipped: i64,
    pub delivered: i64,
    pub refund_requested: i64,
    pub refunded: i64,
    pub captured: i64,
    pub returned: i64,
    pub first_order_at: Option<Timestamp>,
    pub last_order_at: Option<Timestamp>,
}

/// The increments of the deliveries in an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the columns of analytics_hour
pub struct HourIncrements {
    pub shipped: i64,
    pub delivered: i64,
    pub preparation_ms: i64,
    pub on_the_way: i64,
    pub delivery_ms: i64,
}

/// The increments of a batch.
#[derive(Debug, Default)]
pub struct Increments {
    /// The new state of all orders of the batch.
    pub orders: HashMap<OrderId, CountedOrder>,
    /// The increments by sale.
    pub sales: BTreeMap<SaleId, SaleIncrements>,
    /// The accepted orders by sale and second.
    pub seconds: BTreeMap<(SaleId, Timestamp), i64>,
    /// The deliveries by sale and hour.
    pub hours: BTreeMap<(SaleId, Timestamp), HourIncrements>,
}

impl Increments {
    /// Creates empty increments, given the stored state of the batch's orders.
    pub fn new(orders: HashMap<OrderId, CountedOrder>) -> Self {
        Self { orders, ..Self::default() }
    }

    /// Adds an event. A status that is counted already is ignored.
    pub fn add(&mut self, event: &OrderEvent) {
        let sale_id = &event.sale_id;
        let order = self.orders.entry(event.order_id).or_insert_with(|| CountedOrder {
            sale_id: sale_id.clone(),
            seen: 0,
            paid_at: None,
            shipped_at: None,
        });
        if order.seen & bit(event.status) != 0 {
            return;
        }
        order.seen |= bit(event.status);
        let was_paid = order.seen & bit(OrderStatus::PaymentCompleted) != 0;
        let sale = self.sales.entry(sale_id.clone()).or_insert_with(|| SaleIncrements::new(event.currency));
        sale.count(event, was_paid);
        let hour = (sale_id.clone(), floor(event.time, HOUR_MS));
        match event.status {
            OrderStatus::Created => {
                *self.seconds.entry((sale_id.clone(), floor(event.time, SECOND_MS))).or_default() += 1;
            }
            OrderStatus::PaymentCompleted => order.paid_at = Some(event.time),
            OrderStatus::Shipped => {
                order.shipped_at = Some(event.time);
                let hour = self.hours.entry(hour).or_default();
                hour.shipped += 1;
                hour.preparation_ms += order.paid_at.map_or(0, |paid| elapsed_ms(paid, event.time));
            }
            OrderStatus::Delivered => {
                let hour = self.hours.entry(hour).or_default();
                hour.delivered += 1;
                // An order that is picked up in a store was never shipped.
                if let Some(shipped) = order.shipped_at {
                    hour.on_the_way += 1;
                    hour.delivery_ms += elapsed_ms(shipped, event.time);
                }
            }
            _ => {}
        }
    }
}

impl SaleIncrements {
    /// Counts an event of an order of the sale. `was_paid` says whether the payment of the order is counted.
    fn count(&mut self, event: &OrderEvent, was_paid: bool) {
        let amount = i64::try_from(event.total).unwrap_or(i64::MAX);
        match event.status {
            OrderStatus::Created => {
                self.accepted += 1;
                let time = Some(event.time);
                self.first_order_at = self.first_order_at.or(time).min(time);
                self.last_order_at = self.last_order_at.max(time);
            }
            OrderStatus::PaymentRequested => self.payment_requested += 1,
            OrderStatus::PaymentCompleted => {
                self.paid += 1;
                self.captured += amount;
            }
            OrderStatus::PaymentFailed => self.payment_failed += 1,
            OrderStatus::Cancelled => {
                match event.cancel_reason {
                    Some(CancelReason::Expired) => self.expired += 1,
                    _ => self.cancelled += 1,
                }
                if was_paid {
                    self.returned += amount;
                }
            }
            OrderStatus::Shipped => self.shipped += 1,
            OrderStatus::Delivered => self.delivered += 1,
            OrderStatus::RefundRequested => self.refund_requested += 1,
            OrderStatus::Refunded => {
                self.refunded += 1;
                self.returned += amount;
            }
            OrderStatus::Processing
            | OrderStatus::Preparing
            | OrderStatus::InWarehouse
            | OrderStatus::InTransit => {}
        }
    }

    fn new(currency: Currency) -> Self {
        Self {
            currency,
            accepted: 0,
            payment_requested: 0,
            paid: 0,
            payment_failed: 0,
            expired: 0,
            cancelled: 0,
            shipped: 0,
            delivered: 0,
            refund_requested: 0,
            refunded: 0,
            captured: 0,
            returned: 0,
            first_order_at: None,
            last_order_at: None,
        }
    }
}

fn floor(at: Timestamp, step_ms: u64) -> Timestamp {
    Timestamp(at.0 - at.0 % step_ms)
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> i64 {
    to.0.saturating_sub(from.0) as i64
}

/// Returns the bit of a status in `analytics_order.seen`. A bit is never reused for another status.
fn bit(status: OrderStatus) -> i32 {
    1 << match status {
        OrderStatus::Processing => 0,
        OrderStatus::Created => 1,
        OrderStatus::PaymentRequested => 2,
        OrderStatus::PaymentCompleted => 3,
        OrderStatus::PaymentFailed => 4,
        OrderStatus::Preparing => 5,
        OrderStatus::InWarehouse => 6,
        OrderStatus::Shipped => 7,
        OrderStatus::InTransit => 8,
        OrderStatus::Delivered => 9,
        OrderStatus::RefundRequested => 10,
        OrderStatus::Refunded => 11,
        OrderStatus::Cancelled => 12,
    }
}

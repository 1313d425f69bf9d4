//! The values of new rows. They borrow from the records, so that an order costs pushes and no copies.

use contract::ids::{OrderId, Sequence};
use contract::money::Currency;
use contract::order::{Fulfilment, Line, Order};
use contract::record::AcceptedBatch;
use time::OffsetDateTime;
use tokio_postgres::types::Json;

use crate::queries::{LineValues, OrderValues};

impl<'a> OrderValues<'a> {
    /// Returns the row of a new order.
    pub(crate) fn new(
        batch: &'a AcceptedBatch,
        order: &'a Order,
        sequence: Sequence,
        currency: Currency,
        accepted_at: OffsetDateTime,
    ) -> Self {
        let amounts = order.amounts();
        Self {
            order_id: order.id,
            sale_id: &batch.sale_id,
            customer_id: &order.customer,
            customer_email: order.email.as_deref(),
            sequence,
            epoch: batch.epoch,
            subtotal: amounts.subtotal as i64,
            discount_policy_id: order.policy.as_ref().map(|policy| policy.as_str()),
            discount: amounts.discount as i64,
            delivery_fee: amounts.delivery_fee as i64,
            currency,
            idempotency_key: order.key.as_str(),
            request_digest: &order.digest.0,
            hold_seconds: order.hold_seconds as i32,
            fulfilment: order.fulfilment.unwrap_or(Fulfilment::Ship),
            shipping_address: order.address.as_deref().map(Json),
            payment_request: order.payment.as_deref().map(Json),
            accepted_at,
        }
    }
}

impl<'a> LineValues<'a> {
    /// Returns the row of an order's line. `number`: its place in the order, from 1.
    pub(crate) fn new(order_id: OrderId, number: i32, line: &'a Line) -> Self {
        Self {
            order_id,
            line: number,
            sku: &line.sku,
            quantity: line.quantity as i32,
            unit_price: line.unit_price as i64,
        }
    }
}

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
        // Every member is named, so that a new one cannot be forgotten here.
        let Order {
            id,
            customer,
            email,
            key,
            digest,
            lines: _,
            policy,
            discount,
            delivery_fee,
            hold_seconds,
            fulfilment,
            address,
            payment,
        } = order;
        Self {
            order_id: *id,
            sale_id: &batch.sale_id,
            customer_id: customer,
            customer_email: email.as_deref(),
            sequence,
            epoch: batch.epoch,
            subtotal: order.amounts().subtotal as i64,
            discount_policy_id: policy.as_ref().map(|policy| policy.as_str()),
            discount: *discount as i64,
            delivery_fee: *delivery_fee as i64,
            currency,
            idempotency_key: key.as_str(),
            request_digest: &digest.0,
            hold_seconds: *hold_seconds as i32,
            fulfilment: fulfilment.unwrap_or(Fulfilment::Ship),
            shipping_address: address.as_deref().map(Json),
            payment_request: payment.as_deref().map(Json),
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

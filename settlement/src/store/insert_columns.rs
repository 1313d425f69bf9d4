//! New rows as columns: one vector per column, which Postgres unnests. The columns borrow from the records, so that an
//! order costs pushes and no copies.

use contract::ids::{CustomerId, OrderId, SaleId, Sequence, Sku};
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use contract::order::{Fulfilment, Order};
use contract::record::AcceptedBatch;
use time::OffsetDateTime;
use tokio_postgres::types::Json;

use crate::queries::{LineColumns, MoveColumns, NoteColumns, OrderColumns, ReleaseColumns, WalletColumns};

impl<'a> MoveColumns<'a> {
    /// Adds a transition.
    pub(crate) fn push(&mut self, id: OrderId, status: OrderStatus, reason: Option<&'a str>) {
        self.order_id.push(id);
        self.status.push(status);
        self.reason.push(reason);
    }
}

impl<'a> WalletColumns<'a> {
    /// Adds a debit (negative) or a credit for an order.
    pub(crate) fn push(
        &mut self,
        customer: &'a CustomerId,
        currency: Currency,
        amount: i64,
        reason: &'static str,
        order: OrderId,
    ) {
        self.customer_id.push(customer);
        self.currency.push(currency);
        self.amount.push(amount);
        self.reason.push(reason);
        self.order_id.push(order);
    }
}

impl<'a> NoteColumns<'a> {
    /// Adds a command with its result and the status in which it found its order.
    pub(crate) fn push(
        &mut self,
        offset: i64,
        order: OrderId,
        command: &'a str,
        result: &'static str,
        found: &'static str,
    ) {
        self.log_offset.push(offset);
        self.order_id.push(order);
        self.command.push(command);
        self.result.push(result);
        self.found.push(found);
    }
}

impl<'a> ReleaseColumns<'a> {
    /// Adds the units of an order.
    pub(crate) fn push(&mut self, sale: &'a SaleId, sku: &'a Sku, units: i64, order: OrderId) {
        self.sale_id.push(sale);
        self.sku.push(sku);
        self.units.push(units);
        self.order_id.push(Some(order));
    }
}

impl<'a> OrderColumns<'a> {
    /// Reserves capacity for more rows.
    pub(crate) fn reserve(&mut self, orders: usize) {
        self.order_id.reserve(orders);
        self.sale_id.reserve(orders);
        self.customer_id.reserve(orders);
        self.customer_email.reserve(orders);
        self.sequence.reserve(orders);
        self.epoch.reserve(orders);
        self.subtotal.reserve(orders);
        self.discount_policy_id.reserve(orders);
        self.discount.reserve(orders);
        self.delivery_fee.reserve(orders);
        self.currency.reserve(orders);
        self.idempotency_key.reserve(orders);
        self.request_digest.reserve(orders);
        self.hold_seconds.reserve(orders);
        self.fulfilment.reserve(orders);
        self.shipping_address.reserve(orders);
        self.payment_request.reserve(orders);
        self.accepted_at.reserve(orders);
    }

    /// Adds an order.
    pub(crate) fn push(
        &mut self,
        batch: &'a AcceptedBatch,
        order: &'a Order,
        sequence: Sequence,
        currency: Currency,
        accepted_at: OffsetDateTime,
    ) {
        let amounts = order.amounts();
        self.order_id.push(order.id);
        self.sale_id.push(&batch.sale_id);
        self.customer_id.push(&order.customer);
        self.customer_email.push(order.email.as_deref());
        self.sequence.push(sequence);
        self.epoch.push(batch.epoch);
        self.subtotal.push(amounts.subtotal as i64);
        self.discount_policy_id.push(order.policy.as_ref().map(|policy| policy.as_str()));
        self.discount.push(amounts.discount as i64);
        self.delivery_fee.push(amounts.delivery_fee as i64);
        self.currency.push(currency);
        self.idempotency_key.push(order.key.as_str());
        self.request_digest.push(&order.digest.0);
        self.hold_seconds.push(order.hold_seconds as i32);
        self.fulfilment.push(order.fulfilment.unwrap_or(Fulfilment::Ship));
        self.shipping_address.push(order.address.as_deref().map(Json));
        self.payment_request.push(order.payment.as_deref().map(Json));
        self.accepted_at.push(accepted_at);
    }
}

impl<'a> LineColumns<'a> {
    /// Reserves capacity for more rows.
    pub(crate) fn reserve(&mut self, lines: usize) {
        self.order_id.reserve(lines);
        self.line.reserve(lines);
        self.sku.reserve(lines);
        self.quantity.reserve(lines);
        self.unit_price.reserve(lines);
    }

    /// Adds the lines of an order.
    pub(crate) fn push(&mut self, order: &'a Order) {
        for (line, number) in order.lines.iter().zip(1..) {
            self.order_id.push(order.id);
            self.line.push(number);
            self.sku.push(&line.sku);
            self.quantity.push(line.quantity as i32);
            self.unit_price.push(line.unit_price as i64);
        }
    }
}

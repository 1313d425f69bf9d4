//! New rows as columns: one vector per column, which Postgres unnests. The columns borrow from the records, so that an
//! order costs pushes and no copies.

use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use contract::order::{Address, Order, PaymentRequest};
use contract::record::AcceptedBatch;
use time::OffsetDateTime;
use tokio_postgres::types::Json;
use uuid::Uuid;

/// The columns of new orders. Every vector has one entry per order.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the columns of customer_order
pub struct OrderColumns<'a> {
    pub order_id: Vec<Uuid>,
    pub sale_id: Vec<&'a str>,
    pub customer_id: Vec<&'a str>,
    pub customer_email: Vec<Option<&'a str>>,
    pub sequence: Vec<i64>,
    pub epoch: Vec<i64>,
    pub subtotal: Vec<i64>,
    pub discount_policy_id: Vec<Option<&'a str>>,
    pub discount: Vec<i64>,
    pub delivery_fee: Vec<i64>,
    pub currency: Vec<&'a str>,
    pub idempotency_key: Vec<&'a str>,
    pub request_digest: Vec<&'a [u8]>,
    pub hold_seconds: Vec<i32>,
    pub fulfilment: Vec<&'static str>,
    pub shipping_address: Vec<Option<Json<&'a Address>>>,
    pub payment_request: Vec<Option<Json<&'a PaymentRequest>>>,
    pub accepted_at: Vec<OffsetDateTime>,
}

/// The columns of their lines. Every vector has one entry per line.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the columns of order_line
pub struct LineColumns<'a> {
    pub order_id: Vec<Uuid>,
    pub line: Vec<i32>,
    pub sku: Vec<&'a str>,
    pub quantity: Vec<i32>,
    pub unit_price: Vec<i64>,
}

/// The columns of order events: the transitions to other statuses, in order. Every vector has one entry per transition.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the columns of order_event
pub struct MoveColumns<'a> {
    pub order_id: Vec<Uuid>,
    pub status: Vec<&'static str>,
    pub reason: Vec<Option<&'a str>>,
}

/// The columns of wallet entries, in order. Every vector has one entry per debit or credit.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the columns of wallet_entry
pub struct WalletColumns<'a> {
    pub customer_id: Vec<&'a str>,
    pub currency: Vec<String>,
    pub amount: Vec<i64>,
    pub reason: Vec<&'static str>,
    pub order_id: Vec<Uuid>,
}

/// The columns of notes about commands that were not applied. Every vector has one entry per command.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the columns of order_note
pub struct NoteColumns<'a> {
    pub log_offset: Vec<i64>,
    pub order_id: Vec<Uuid>,
    pub command: Vec<&'a str>,
    pub result: Vec<&'static str>,
    pub found: Vec<&'static str>,
}

/// The columns of releases. Every vector has one entry per order and SKU.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the columns of stock_release
pub struct ReleaseColumns<'a> {
    pub sale_id: Vec<&'a str>,
    pub sku: Vec<&'a str>,
    pub units: Vec<i64>,
    pub order_id: Vec<Option<Uuid>>,
}

impl<'a> MoveColumns<'a> {
    /// Adds a transition.
    pub(crate) fn push(&mut self, id: OrderId, status: OrderStatus, reason: Option<&'a str>) {
        self.order_id.push(id.0);
        self.status.push(status.as_str());
        self.reason.push(reason);
    }
}

impl<'a> WalletColumns<'a> {
    /// Adds a debit (negative) or a credit for an order.
    pub(crate) fn push(
        &mut self,
        customer: &'a str,
        currency: Currency,
        amount: i64,
        reason: &'static str,
        order: OrderId,
    ) {
        self.customer_id.push(customer);
        self.currency.push(currency.to_string());
        self.amount.push(amount);
        self.reason.push(reason);
        self.order_id.push(order.0);
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
        self.order_id.push(order.0);
        self.command.push(command);
        self.result.push(result);
        self.found.push(found);
    }
}

impl<'a> ReleaseColumns<'a> {
    /// Adds the units of an order.
    pub(crate) fn push(&mut self, sale: &'a str, sku: &'a str, units: i64, order: OrderId) {
        self.sale_id.push(sale);
        self.sku.push(sku);
        self.units.push(units);
        self.order_id.push(Some(order.0));
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
        sequence: i64,
        currency: &'a Currency,
        accepted_at: OffsetDateTime,
    ) {
        let amounts = order.amounts();
        self.order_id.push(order.id.0);
        self.sale_id.push(batch.sale_id.as_str());
        self.customer_id.push(order.customer.as_str());
        self.customer_email.push(order.email.as_deref());
        self.sequence.push(sequence);
        self.epoch.push(batch.epoch.0 as i64);
        self.subtotal.push(amounts.subtotal as i64);
        self.discount_policy_id.push(order.policy.as_ref().map(|policy| policy.as_str()));
        self.discount.push(amounts.discount as i64);
        self.delivery_fee.push(amounts.delivery_fee as i64);
        self.currency.push(currency.as_str());
        self.idempotency_key.push(order.key.as_str());
        self.request_digest.push(&order.digest.0);
        self.hold_seconds.push(order.hold_seconds as i32);
        self.fulfilment.push(order.fulfilment.map_or("ship", |fulfilment| fulfilment.as_str()));
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
            self.order_id.push(order.id.0);
            self.line.push(number);
            self.sku.push(line.sku.as_str());
            self.quantity.push(line.quantity as i32);
            self.unit_price.push(line.unit_price as i64);
        }
    }
}

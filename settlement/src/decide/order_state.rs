//! The state of orders within a batch. [`PriorState`](super::prior_state::PriorState) reads it from Postgres for the
//! orders that commands and ticks may change; the effects of the batch itself are applied here, so that a record
//! sees the effects of all records before it in the log.

use contract::ids::{CustomerId, OrderId, SaleId, Sequence, Sku};
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::money::Currency;
use contract::order::{Amounts, Fulfilment, Order, PaymentMethod};
use contract::payment::PaymentStatus;
use contract::record::{AcceptedBatch, Command, Record, Tick};
use contract::timestamp::Timestamp;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::consume::decoded_record::DecodedRecord;

/// The state of an order at a position of the log.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the columns of customer_order
pub struct OrderState<'a> {
    pub sale: &'a SaleId,
    pub customer: &'a CustomerId,
    pub status: OrderStatus,
    pub cancel_reason: Option<CancelReason>,
    pub sequence: Sequence,
    pub amounts: Amounts,
    pub currency: Currency,
    pub fulfilment: Fulfilment,
    pub payment: Option<PaymentState<'a>>,
    pub delivery: Option<DeliveryState>,
    pub(super) hold_expires_at: Timestamp,
    pub(super) lines: Lines<'a>,
}

/// The state of an order's payment: its row of `payment`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the columns of payment
pub struct PaymentState<'a> {
    pub method: PaymentMethod,
    pub token: Option<&'a str>,
    pub status: PaymentStatus,
    pub reason: Option<&'a str>,
    pub requested_at: Timestamp,
    pub captured_at: Option<Timestamp>,
    pub refund_requested_at: Option<Timestamp>,
    pub refunded_at: Option<Timestamp>,
}

/// The state of an order's delivery: its row of `delivery`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the columns of delivery
pub struct DeliveryState {
    pub started_at: Timestamp,
    pub shipped_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub estimated_arrival: Option<Timestamp>,
    pub next_move_at: Option<Timestamp>,
}

/// The lines of an order, borrowed from where they are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lines<'a> {
    Stored { skus: &'a [Sku], quantities: &'a [i32] },
    Accepted(&'a Order),
}

impl<'a> OrderState<'a> {
    /// Returns the state of a new order.
    pub fn created(
        batch: &'a AcceptedBatch,
        order: &'a Order,
        sequence: Sequence,
        currency: Currency,
    ) -> Self {
        Self {
            sale: &batch.sale_id,
            customer: &order.customer,
            status: OrderStatus::Created,
            cancel_reason: None,
            sequence,
            amounts: order.amounts(),
            currency,
            fulfilment: order.fulfilment.unwrap_or(Fulfilment::Ship),
            payment: None,
            delivery: None,
            hold_expires_at: batch.accepted_at.plus_seconds(order.hold_seconds.into()),
            lines: Lines::Accepted(order),
        }
    }

    /// Returns the amount that the order costs.
    pub fn total(&self) -> u64 {
        self.amounts.total()
    }

    /// Returns the units of each SKU.
    pub fn units(&self) -> Vec<(&'a Sku, i64)> {
        match self.lines {
            Lines::Stored { skus, quantities } => {
                skus.iter().zip(quantities.iter().copied().map(i64::from)).collect()
            }
            Lines::Accepted(order) => {
                order.lines.iter().map(|line| (&line.sku, i64::from(line.quantity))).collect()
            }
        }
    }
}

/// The orders that the commands and ticks of a batch may change, and the wallets that may pay for them.
#[derive(Debug, Default)]
pub struct OrderStates<'a> {
    by_id: FxHashMap<Uuid, OrderState<'a>>,
    wallets: FxHashMap<(&'a str, Currency), i64>,
    /// Whether new orders are tracked: only if the batch has a record that may change them.
    tracks_new_orders: bool,
}

impl<'a> OrderStates<'a> {
    /// Creates the state before the first record.
    pub(super) fn new(
        records: &[DecodedRecord],
        by_id: FxHashMap<Uuid, OrderState<'a>>,
        wallets: FxHashMap<(&'a str, Currency), i64>,
    ) -> Self {
        let changes_orders =
            |record: &DecodedRecord| matches!(record.body, Ok(Record::Command(_) | Record::Tick(_)));
        Self { by_id, wallets, tracks_new_orders: records.iter().any(changes_orders) }
    }

    /// Adds a new order, if a record may change it. `pays`: the order itself contains a payment request.
    pub fn insert_new(&mut self, id: OrderId, state: impl FnOnce() -> OrderState<'a>, pays: bool) {
        if self.tracks_new_orders || pays {
            self.by_id.insert(id.0, state());
        }
    }

    /// Returns the order with this id.
    pub fn get(&self, id: OrderId) -> Option<OrderState<'a>> {
        self.by_id.get(&id.0).copied()
    }

    /// Returns the order that a command names, unless it belongs to another sale or another customer.
    pub fn find_for_command(&self, command: &Command) -> Option<OrderState<'a>> {
        let order = self.get(command.order_id)?;
        let customer = command.customer_id.as_ref();
        let matches =
            *order.sale == command.sale_id && customer.is_none_or(|customer| customer == order.customer);
        matches.then_some(order)
    }

    /// Returns the orders for which something is due at a tick, in a deterministic order: holds that have ended,
    /// and, if `deliveries` advance automatically, deliveries.
    pub fn due(&self, tick: Tick, deliveries: bool) -> Vec<(OrderId, OrderState<'a>)> {
        let before = tick.due_before();
        let due_at = |order: &OrderState<'a>| match order.delivery {
            Some(delivery) => delivery.next_move_at.filter(|_| deliveries),
            None => order.status.holds_units().then_some(order.hold_expires_at),
        };
        let due = self.by_id.iter().filter_map(|(id, order)| Some((due_at(order)?, OrderId(*id), *order)));
        let mut due: Vec<_> = due.filter(|(at, ..)| *at < before).collect();
        due.sort_unstable_by_key(|(at, id, _)| (*at, *id));
        due.into_iter().map(|(_, id, order)| (id, order)).collect()
    }

    /// Replaces the state of an order.
    pub fn update(&mut self, id: OrderId, order: OrderState<'a>) {
        self.by_id.insert(id.0, order);
    }

    /// Returns the balance of a customer's wallet at this point of the batch.
    pub fn balance(&self, customer: &str, currency: Currency) -> i64 {
        self.wallets.get(&(customer, currency)).copied().unwrap_or(0)
    }

    /// Adds an amount to a wallet; a negative amount debits it.
    pub fn change_balance(&mut self, customer: &'a str, currency: Currency, amount: i64) {
        *self.wallets.entry((customer, currency)).or_default() += amount;
    }
}

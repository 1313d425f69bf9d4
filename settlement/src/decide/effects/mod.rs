//! The effects of a batch of records on Postgres, decided from the records, the cached state of the partition and
//! the prior state of its orders, in the order of the log. Columns borrow from the records: nothing is copied for
//! an order.
//!
//! | module          | what it decides                                                     |
//! |-----------------|---------------------------------------------------------------------|
//! | [`records`]     | what each record of the batch does                                  |
//! | [`commands`]    | what a command does: of a customer, the payment side or an operator |
//! | [`transitions`] | how an order changes, with its units, its money and its goods       |

pub mod commands;
pub mod records;
mod transitions;

#[cfg(test)]
mod money_properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use contract::ids::{Epoch, OrderId, SaleId, Sequence, Sku};
use contract::money::Currency;
use contract::order::Order;
use contract::record::{AcceptedBatch, TotalsChange};
use contract::timestamp::Timestamp;
use invariants::stock::UnitFlow;
use invariants::{position, sequence, stock};
use process::invariant;
use rustc_hash::FxHashMap;
use time::OffsetDateTime;

use self::commands::CommandResult;
use super::delivery_schedule::DeliverySchedule;
use super::order_state::{OrderState, OrderStates};
use super::partition_state::PartitionState;
use super::prior_state::PriorState;
use crate::consume::decoded_record::{DecodedRecord, Refusal};
use crate::queries::{
    LineColumns, LineValues, MoveColumns, NoteColumns, OrderColumns, OrderValues, ReleaseColumns,
    WalletColumns,
};

/// The effects of one batch.
#[derive(Debug, Default)]
pub struct Effects<'a> {
    /// The new orders, one vector per column.
    pub orders: OrderColumns<'a>,
    /// The lines of the new orders.
    pub lines: LineColumns<'a>,
    /// Every transition of an order to another status, in order.
    pub moves: MoveColumns<'a>,
    /// The units that these transitions release.
    pub releases: ReleaseColumns<'a>,
    /// The debits and credits of wallets.
    pub wallets: WalletColumns<'a>,
    /// The outcomes of wallet payments and of their refunds.
    pub wallet_payments: Vec<&'static str>,
    /// The commands that changed nothing, or not what they requested.
    pub notes: NoteColumns<'a>,
    /// The changes of held and sold units, per sale and SKU.
    pub units: FxHashMap<(&'a SaleId, &'a Sku), UnitChange>,
    /// The sales whose next sequence or settled epoch changes, with both.
    pub sales: BTreeMap<&'a SaleId, (Sequence, Epoch)>,
    /// The changes of totals, each with the first event sequence that it may use (one per item).
    pub changes: Vec<(&'a TotalsChange, i64)>,
    /// The records that cannot be applied.
    pub dead_letters: Vec<DeadLetter<'a>>,
    /// The new orders again, for their events.
    pub created: Vec<CreatedOrder<'a>>,
    /// The number of orders and changes of ended epochs.
    pub void_orders: u64,
    /// The number of orders that were settled before.
    pub duplicate_orders: u64,
    /// The number of orders that were not paid in time.
    pub expired_orders: u64,
    /// The result of each command.
    pub commands: Vec<(&'static str, CommandResult)>,
    /// The orders whose status, payment or delivery changed.
    changed: Vec<OrderId>,
    order_states: OrderStates<'a>,
    time: BatchTime,
}

/// The change of the units in each place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitChange {
    /// The change of units held for unpaid orders.
    pub held: i64,
    /// The change of sold units.
    pub sold: i64,
}

/// The time of a batch, and what becomes due after it.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchTime {
    /// The time at which the batch is settled.
    pub at: Timestamp,
    /// The delays after which deliveries advance automatically.
    pub schedule: DeliverySchedule,
}

/// An order that is new.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the parts of an order's acceptance
pub struct CreatedOrder<'a> {
    pub batch: &'a AcceptedBatch,
    pub order: &'a Order,
    pub sequence: Sequence,
    pub currency: &'a Currency,
}

/// A record that cannot be applied.
#[derive(Debug)]
pub struct DeadLetter<'a> {
    /// The record with its original bytes.
    pub record: &'a DecodedRecord,
    /// The reason why it cannot be applied.
    pub refusal: Refusal,
    /// The units that the record holds back: those of existing SKUs, unless its epoch is void.
    pub units: BTreeMap<&'a str, i64>,
    /// The highest barrier before the record; `None` if its sale does not exist or its epoch is void.
    pub settled_epoch: Option<Epoch>,
}

impl<'a> Effects<'a> {
    /// Returns empty effects, to which orders are added one by one with [`Self::accept_order`].
    pub fn new(prior: &'a PriorState, time: BatchTime) -> Self {
        Self { order_states: prior.order_states(&[]), time, ..Self::default() }
    }

    /// Accepts one order independently of the others of its batch: it becomes a row, and its units are held.
    pub fn accept_order(&mut self, created: CreatedOrder<'a>) {
        self.push_order(created, created.batch.accepted_at.to_datetime());
        for line in &created.order.lines {
            self.units.entry((&created.batch.sale_id, &line.sku)).or_default().held +=
                i64::from(line.quantity);
        }
    }

    fn push_order(&mut self, created: CreatedOrder<'a>, accepted_at: OffsetDateTime) {
        let CreatedOrder { batch, order, sequence, currency } = created;
        self.orders.push(OrderValues::new(batch, order, sequence, *currency, accepted_at));
        for (line, number) in order.lines.iter().zip(1..) {
            self.lines.push(LineValues::new(order.id, number, line));
        }
        self.created.push(created);
        let payment = order.payment.as_deref();
        let state = || OrderState::created(batch, order, sequence, *currency);
        self.order_states.insert_new(order.id, state, payment.is_some());
        if let Some(request) = payment {
            self.pay_new_order(order.id, request);
        }
    }

    /// Returns how the cached state of the partition changes once the effects are committed. It is a value of its
    /// own, because the effects borrow from the state.
    pub fn state_update(&self) -> StateUpdate {
        let changes: usize = self.changes.iter().map(|(change, _)| change.items.len()).sum();
        StateUpdate {
            seqs: self.order_seqs() + changes as i64,
            sales: self.sales.iter().map(|(name, moved)| ((*name).clone(), *moved)).collect(),
        }
    }

    /// Checks that units only move: what new orders request becomes held or sold, and what is no longer held or sold
    /// is released.
    pub fn check_units(&self) {
        let flow = UnitFlow {
            ordered: self.lines.quantity.iter().map(|units| *units as u64).sum(),
            released: self.releases.units.iter().map(|units| *units as u64).sum(),
            held: self.units.values().map(|change| change.held).sum(),
            sold: self.units.values().map(|change| change.sold).sum(),
        };
        let check = stock::flow_balanced(&flow);
        if check.is_err() {
            let sales: BTreeSet<_> = self.units.keys().map(|(sale, _)| sale.as_str()).collect();
            invariant::check(format!("sales {sales:?}"), check);
        }
    }

    /// Returns the number of event sequences that orders use: first the new orders, then the transitions, then the
    /// releases. The sequences of changes of totals follow.
    pub fn order_seqs(&self) -> i64 {
        (self.orders.order_id.len() + self.moves.order_id.len() + self.releases.units.len()) as i64
    }
    /// Returns the sequence of the first transition.
    pub fn first_move_seq(&self, from_seq: i64) -> i64 {
        from_seq + self.orders.order_id.len() as i64
    }
    /// Returns the sequence of the first release.
    pub fn first_release_seq(&self, from_seq: i64) -> i64 {
        self.first_move_seq(from_seq) + self.moves.order_id.len() as i64
    }

    /// Returns the state of a changed order after the batch.
    pub fn order_state(&self, id: OrderId) -> Option<OrderState<'a>> {
        self.order_states.get(id)
    }

    /// Returns the orders whose rows change, each once, with their state after the batch.
    pub fn changed_orders(&self) -> Vec<(OrderId, OrderState<'a>)> {
        let mut ids = self.changed.clone();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| Some((id, self.order_states.get(id)?))).collect()
    }
}

/// The change of a partition's cached state by a batch.
#[derive(Debug)]
pub struct StateUpdate {
    /// The number of event sequences that the batch used.
    pub seqs: i64,
    sales: Vec<(SaleId, (Sequence, Epoch))>,
}

impl StateUpdate {
    /// Applies the change after the batch is committed up to `next_offset`.
    pub fn apply(self, state: &mut PartitionState, next_offset: i64) {
        invariant::check("position", position::advances(state.next_offset, next_offset));
        state.next_offset = next_offset;
        state.next_seq += self.seqs;
        for (name, (next_sequence, settled_epoch)) in self.sales {
            if let Some(sale) = state.sales.get_mut(&name) {
                invariant::check(&name, sequence::never_decreases(sale.next_sequence, next_sequence.0));
                invariant::check(
                    &name,
                    position::epoch_never_decreases(sale.settled_epoch.0, settled_epoch.0),
                );
                sale.next_sequence = sale.next_sequence.max(next_sequence.0);
                sale.settled_epoch = sale.settled_epoch.max(settled_epoch);
            }
        }
    }
}

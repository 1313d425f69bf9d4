//! What a batch of records does to Postgres, decided from the records and the memory alone, in the
//! order of the log. Columns borrow from the records: nothing is copied for an order.
//!
//! Here: acceptances, and what becomes of every record. [`commands`]: what is asked of orders. [`transitions`]: how
//! an order moves, and all that moves with it.

mod commands;
#[cfg(test)]
mod money_properties;
#[cfg(test)]
mod tests;
mod transitions;

use std::collections::BTreeMap;

use contract::ids::{Epoch, OrderId, SaleId, Sequence};
use contract::lifecycle::{CancelReason, Trigger};
use contract::money::Currency;
use contract::order::Order;
use contract::record::{AcceptedBatch, BATCH_ORDERS_MAX, Record, Tick, TotalsChange};
use contract::timestamp::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::commands::CommandResult;
use crate::consume::decoded_record::{DecodedRecord, Refusal};
use crate::decide::delivery_schedule::DeliverySchedule;
use crate::decide::order_state::{OrderState, OrderStates, PriorState};
use crate::decide::partition_state::{CachedSale, PartitionState};
use crate::store::insert_columns::{
    LineColumns, MoveColumns, NoteColumns, OrderColumns, ReleaseColumns, WalletColumns,
};

/// One batch's effects.
#[derive(Debug, Default)]
pub struct Effects<'a> {
    /// New orders, a vector a column.
    pub orders: OrderColumns<'a>,
    /// Their lines.
    pub lines: LineColumns<'a>,
    /// Every move of an order to another state, in order.
    pub moves: MoveColumns<'a>,
    /// Units that they give back.
    pub releases: ReleaseColumns<'a>,
    /// Money that moves in wallets.
    pub wallets: WalletColumns<'a>,
    /// What became of payments by wallet, and of their refunds.
    pub wallet_payments: Vec<&'static str>,
    /// Commands that moved nothing, or not what they asked for.
    pub notes: NoteColumns<'a>,
    /// How many units more (or less) are held and sold, per sale and SKU.
    pub units: FxHashMap<(&'a str, &'a str), Units>,
    /// Sales whose next sequence or settled epoch moves, with both.
    pub sales: BTreeMap<&'a str, (i64, i64)>,
    /// Changes of totals, with the first event sequence that each may use (one for each item).
    pub changes: Vec<(&'a TotalsChange, i64)>,
    /// Records that cannot be applied.
    pub dead_letters: Vec<DeadLetter<'a>>,
    /// The new orders again, for their events.
    pub created: Vec<Created<'a>>,
    /// OrderStates and changes of ended epochs.
    pub void_orders: u64,
    /// OrderStates that were settled before.
    pub doubled_orders: u64,
    /// OrderStates that were not paid in time.
    pub expired_orders: u64,
    /// What became of commands.
    pub commands: Vec<(&'static str, CommandResult)>,
    /// OrderStates that moved, or whose money or goods did.
    touched: Vec<OrderId>,
    orders_now: OrderStates<'a>,
    /// When all this happens, and how fast goods go on by themselves.
    now: Now,
}

/// Units more (or less) in each of their places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    /// Held for orders that are not paid.
    pub held: i64,
    /// Sold.
    pub sold: i64,
}

/// The moment of a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    /// When it is settled.
    pub at: Timestamp,
    /// How fast goods go on.
    pub pace: DeliverySchedule,
}

/// An order that is new.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the names say it
pub struct Created<'a> {
    pub batch: &'a AcceptedBatch,
    pub order: &'a Order,
    pub sequence: Sequence,
    pub currency: &'a Currency,
}

/// A record that cannot be applied.
#[derive(Debug)]
pub struct DeadLetter<'a> {
    /// The record.
    pub record: &'a DecodedRecord,
    /// Why.
    pub refusal: Refusal,
    /// The units that it holds back: those of known SKUs, unless its epoch is void.
    pub units: BTreeMap<&'a str, i64>,
    /// The highest barrier before it; `None` where its sale is not known or its epoch is void.
    pub settled_epoch: Option<Epoch>,
}

/// Records that are not all new by their sequences: their orders' ids must be looked for.
pub fn suspects(memory: &PartitionState, records: &[DecodedRecord]) -> Vec<Uuid> {
    let mut next: FxHashMap<&SaleId, u64> = FxHashMap::default();
    let mut ids = Vec::new();
    for batch in records.iter().filter_map(accepted) {
        let Some(sale) = memory.sales.get(&batch.sale_id) else { continue };
        if batch.epoch < sale.settled_epoch && !fault::removed!("barrier") {
            continue;
        }
        let next = next.entry(&batch.sale_id).or_insert(sale.next_sequence);
        if batch.first_sequence.0 < *next {
            ids.extend(batch.orders.iter().map(|order| order.id.0));
        }
        *next = (*next).max(batch.first_sequence.0 + batch.orders.len() as u64);
    }
    ids
}

fn accepted(record: &DecodedRecord) -> Option<&AcceptedBatch> {
    match &record.body {
        Ok(Record::Accepted(batch)) => Some(batch),
        _ => None,
    }
}

impl<'a> Effects<'a> {
    /// Decides about each record in order. `settled`: those of the [`suspects`] that Postgres has; `None`
    /// where there are no suspects.
    pub fn decide(
        partition: i32,
        memory: &'a PartitionState,
        records: &'a [DecodedRecord],
        before: &'a PriorState,
        mut settled: Option<FxHashSet<Uuid>>,
        now: Now,
    ) -> Self {
        let mut effects = Self::with_capacity(records.iter().map(DecodedRecord::orders).sum());
        effects.orders_now = OrderStates::before(records, before);
        effects.now = now;
        let first_seq = memory.next_seq;
        let mut change_seqs = 0;
        let mut moved: FxHashMap<&'a SaleId, (u64, Epoch)> = FxHashMap::default();
        for record in records {
            if let Ok(Record::Tick(tick)) = &record.body {
                effects.tick(*tick);
                continue;
            }
            let known = record.sale.as_ref().and_then(|name| Some((name, memory.sales.get(name)?)));
            let Some((name, sale)) = known else {
                effects.bury(record, unapplicable(record, "unknown_sale", "no such sale"), None);
                continue;
            };
            let (next_sequence, settled_epoch) =
                moved.get(name).copied().unwrap_or((sale.next_sequence, sale.settled_epoch));
            let body = match &record.body {
                Ok(_) if sale.partition != partition => {
                    let detail = format!("the sale belongs to partition {}", sale.partition);
                    Err(Refusal::new("wrong_partition", detail))
                }
                Ok(body) => body_of_known_skus(record, body, sale),
                Err(refusal) => Err(refusal.clone()),
            };
            match body {
                Err(refusal) => {
                    let void = record.headers.epoch.is_some_and(|epoch| epoch < settled_epoch);
                    effects.bury(record, refusal, (!void).then_some((sale, settled_epoch)));
                    if let Some(next) = behind(record).filter(|_| !void) {
                        // Its sequences are taken, whatever becomes of it.
                        moved.insert(name, (next_sequence.max(next), settled_epoch));
                    }
                }
                Ok(Record::Accepted(batch)) if batch.epoch < settled_epoch && !fault::removed!("barrier") => {
                    effects.void_orders += batch.orders.len() as u64;
                }
                Ok(Record::Totals(change)) if change.epoch < settled_epoch => {
                    tracing::info!(sale_id = %name, change_id = %change.change_id, "a change of totals is void");
                }
                Ok(Record::Accepted(batch)) => {
                    effects.accept(record, batch, &sale.currency, settled.as_mut());
                    let next = batch.first_sequence.0 + batch.orders.len() as u64;
                    moved.insert(name, (next_sequence.max(next), settled_epoch));
                }
                Ok(Record::Totals(change)) => {
                    // Its events come behind those of all orders of the batch. The sale is among those that
                    // move, so that its row is locked before its items: everyone locks in this order.
                    moved.entry(name).or_insert((next_sequence, settled_epoch));
                    effects.changes.push((change, change_seqs));
                    change_seqs += change.items.len() as i64;
                }
                Ok(Record::Barrier(barrier)) => {
                    if barrier.epoch > settled_epoch {
                        tracing::info!(sale_id = %name, epoch = barrier.epoch.0, offset = record.offset, "barrier: lower epochs have ended");
                        moved.insert(name, (next_sequence, barrier.epoch));
                    }
                }
                Ok(Record::Command(command)) => effects.obey(record.offset, command),
                // Ticks were met above; a decision never comes with other records.
                Ok(Record::Tick(_) | Record::Decision(_)) => {}
            }
        }
        let behind_orders = first_seq + effects.order_seqs();
        for (_, seq) in &mut effects.changes {
            *seq += behind_orders;
        }
        effects.sales = moved
            .iter()
            .map(|(name, (next, epoch))| (name.as_str(), (*next as i64, epoch.0 as i64)))
            .collect();
        effects
    }

    /// Moves the memory to where it is once the effects are committed. Apart from [`Self::decide`], because
    /// the effects borrow from the memory.
    pub fn state_update(&self) -> StateUpdate {
        let changes: usize = self.changes.iter().map(|(change, _)| change.items.len()).sum();
        StateUpdate {
            seqs: self.order_seqs() + changes as i64,
            sales: self.sales.iter().map(|(name, moved)| ((*name).to_string(), *moved)).collect(),
        }
    }

    /// Sequences of what happens to orders: new ones first, then moves, then what these give back. Changes
    /// of totals come behind them.
    pub fn order_seqs(&self) -> i64 {
        (self.orders.order_id.len() + self.moves.order_id.len() + self.releases.units.len()) as i64
    }
    /// The sequence of the first move.
    pub fn first_move_seq(&self, from_seq: i64) -> i64 {
        from_seq + self.orders.order_id.len() as i64
    }
    /// The sequence of the first release.
    pub fn first_release_seq(&self, from_seq: i64) -> i64 {
        self.first_move_seq(from_seq) + self.moves.order_id.len() as i64
    }

    /// An order that moved, as it stands now.
    pub fn standing(&self, id: OrderId) -> Option<OrderState<'a>> {
        self.orders_now.get(id)
    }

    /// OrderStates whose rows change, each once, as they stand now.
    pub fn touched(&self) -> Vec<(OrderId, OrderState<'a>)> {
        let mut ids = self.touched.clone();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| Some((id, self.orders_now.get(id)?))).collect()
    }

    fn tick(&mut self, tick: Tick) {
        for (id, mut order) in self.orders_now.due(tick, self.now.pace.automatic) {
            let trigger = order.status.delivery_trigger().unwrap_or(Trigger::Expire);
            if trigger == Trigger::Expire {
                order.cancel_reason = Some(CancelReason::Expired);
            }
            if self.advance(id, &mut order, trigger, None) {
                self.expired_orders += u64::from(trigger == Trigger::Expire);
                self.keep(id, order);
            }
        }
    }

    fn with_capacity(orders: usize) -> Self {
        let mut effects = Self::default();
        effects.orders.reserve(orders);
        effects.lines.reserve(orders);
        effects.created.reserve(orders);
        effects
    }

    fn accept(
        &mut self,
        record: &'a DecodedRecord,
        batch: &'a AcceptedBatch,
        currency: &'a Currency,
        mut seen: Option<&mut FxHashSet<Uuid>>,
    ) {
        let sale = batch.sale_id.as_str();
        let accepted_at = batch.accepted_at.to_datetime();
        let mut new = 0;
        let first = self.orders.order_id.len();
        for (order, sequence) in batch.orders.iter().zip(batch.first_sequence.0..) {
            // Only where a record may be a double is each order looked up, and remembered for the next.
            if let Some(seen) = &mut seen
                && !seen.insert(order.id.0)
            {
                self.doubled_orders += 1;
                continue;
            }
            new += 1;
            self.push(Created { batch, order, sequence: Sequence(sequence), currency }, accepted_at);
        }
        if new == batch.orders.len() {
            // The headers' units are those of the lines: checked when the record was read.
            for (sku, units) in &record.headers.units {
                self.units.entry((sale, sku.as_str())).or_default().held += *units as i64;
            }
        } else {
            let added: FxHashSet<Uuid> = self.orders.order_id[first..].iter().copied().collect();
            for line in batch.orders.iter().filter(|o| added.contains(&o.id.0)).flat_map(|o| &o.lines) {
                self.units.entry((sale, line.sku.as_str())).or_default().held += i64::from(line.quantity);
            }
        }
    }

    fn push(&mut self, created: Created<'a>, accepted_at: OffsetDateTime) {
        let Created { batch, order, sequence, currency } = created;
        self.orders.push(batch, order, sequence.0 as i64, currency, accepted_at);
        self.lines.push(order);
        self.created.push(created);
        let payment = order.payment.as_deref();
        let standing = || OrderState::created(batch, order, sequence, *currency);
        self.orders_now.follow(order.id, standing, payment.is_some());
        if let Some(request) = payment {
            self.pay_at_once(order.id, request);
        }
    }

    /// No records, but orders that are [taken](Self::take) one by one.
    pub fn apart(before: &'a PriorState, now: Now) -> Self {
        Self { orders_now: OrderStates::before(&[], before), now, ..Self::default() }
    }

    /// An order that is judged apart from its batch's others: it becomes a row, and its units are held.
    pub fn take(&mut self, created: Created<'a>) {
        self.push(created, created.batch.accepted_at.to_datetime());
        for line in &created.order.lines {
            let sale = created.batch.sale_id.as_str();
            self.units.entry((sale, line.sku.as_str())).or_default().held += i64::from(line.quantity);
        }
    }

    fn bury(&mut self, record: &'a DecodedRecord, refusal: Refusal, counted: Option<(&CachedSale, Epoch)>) {
        let units = record.headers.units.iter();
        let units = units.filter(|(sku, _)| counted.is_some_and(|(sale, _)| sale.skus.contains(*sku)));
        let units = units.filter_map(|(sku, n)| Some((sku.as_str(), i64::try_from(*n).ok()?))).collect();
        let settled_epoch = counted.map(|(_, epoch)| epoch);
        self.dead_letters.push(DeadLetter { record, refusal, units, settled_epoch });
    }
}

/// The sequence behind a record that cannot be applied, as far as its headers tell one that can be.
fn behind(record: &DecodedRecord) -> Option<u64> {
    let (first, count) = record.headers.sequences?;
    let next = first.0.checked_add(count).filter(|next| i64::try_from(*next).is_ok())?;
    (first.0 > 0 && (1..=BATCH_ORDERS_MAX as u64).contains(&count)).then_some(next)
}

/// How the memory moves with a batch.
#[derive(Debug)]
pub struct StateUpdate {
    /// Event sequences that the batch used.
    pub seqs: i64,
    sales: Vec<(String, (i64, i64))>,
}

impl StateUpdate {
    /// The batch is committed, up to `next_offset`.
    pub fn apply(self, memory: &mut PartitionState, next_offset: i64) {
        memory.next_offset = next_offset;
        memory.next_seq += self.seqs;
        for (name, (next_sequence, settled_epoch)) in self.sales {
            if let Some(sale) = memory.sales.get_mut(name.as_str()) {
                sale.next_sequence = sale.next_sequence.max(next_sequence as u64);
                sale.settled_epoch = sale.settled_epoch.max(Epoch(settled_epoch as u64));
            }
        }
    }
}

/// The refusal of a record whose sale cannot be found: its own, if it could not even be read.
fn unapplicable(record: &DecodedRecord, reason: &'static str, detail: &str) -> Refusal {
    record.body.as_ref().err().cloned().unwrap_or_else(|| Refusal::new(reason, detail))
}

fn body_of_known_skus<'a>(
    record: &DecodedRecord,
    body: &'a Record,
    sale: &CachedSale,
) -> Result<&'a Record, Refusal> {
    let unknown = match body {
        // The headers' SKUs are those of the lines: checked when the record was read.
        Record::Accepted(_) => record.headers.units.keys().find(|sku| !sale.skus.contains(*sku)),
        Record::Totals(change) => change.items.iter().map(|i| &i.sku).find(|sku| !sale.skus.contains(*sku)),
        Record::Barrier(_) | Record::Command(_) | Record::Tick(_) | Record::Decision(_) => None,
    };
    match unknown {
        Some(sku) => Err(Refusal::new("unknown_sku", format!("the sale has no {sku}"))),
        None => Ok(body),
    }
}

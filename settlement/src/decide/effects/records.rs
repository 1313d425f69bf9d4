//! Deciding the records of a batch, one after another.

use contract::ids::{Epoch, OrderId, SaleId, Sequence};
use contract::lifecycle::{CancelReason, Trigger};
use contract::money::Currency;
use contract::record::{AcceptedBatch, BATCH_ORDERS_MAX, Barrier, Record, Tick, TotalsChange};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{BatchTime, CreatedOrder, DeadLetter, Effects};
use crate::consume::decoded_record::{DecodedRecord, Refusal};
use crate::decide::partition_state::{CachedSale, PartitionState};
use crate::decide::prior_state::PriorState;

/// Decides the effects of the records, in order. It reads nothing: `prior` holds what Postgres has of them.
pub fn decide<'a>(
    partition: i32,
    state: &'a PartitionState,
    records: &'a [DecodedRecord],
    prior: &'a PriorState,
    time: BatchTime,
) -> Effects<'a> {
    let mut effects = Effects { order_states: prior.order_states(records), time, ..Effects::default() };
    effects.reserve(records.iter().map(DecodedRecord::orders).sum());
    let mut decision = Decision {
        partition,
        state,
        effects,
        sales: FxHashMap::default(),
        change_seqs: 0,
        settled_orders: prior.settled_orders.clone(),
    };
    for record in records {
        decision.apply(record);
    }
    decision.finish()
}

/// A batch in the middle of its decision.
struct Decision<'a> {
    partition: i32,
    state: &'a PartitionState,
    effects: Effects<'a>,
    /// The sales that the batch has changed so far: next sequence and settled epoch.
    sales: FxHashMap<&'a SaleId, (u64, Epoch)>,
    /// The number of event sequences that changes of totals use so far.
    change_seqs: i64,
    /// The settled orders among those of possibly duplicate records; `None` if no record may be a duplicate.
    settled_orders: Option<FxHashSet<OrderId>>,
}

/// A cached sale as the records before the current one leave it.
#[derive(Clone, Copy)]
struct CurrentSale<'a> {
    name: &'a SaleId,
    cached: &'a CachedSale,
    next_sequence: u64,
    settled_epoch: Epoch,
}

impl<'a> Decision<'a> {
    fn apply(&mut self, record: &'a DecodedRecord) {
        if let Ok(Record::Tick(tick)) = &record.body {
            self.effects.apply_tick(*tick);
            return;
        }
        let Some(sale) = self.current_sale(record) else {
            // A record that could not be decoded keeps its own reason.
            let refusal = record.body.as_ref().err().cloned();
            let refusal = refusal.unwrap_or_else(|| Refusal::new("unknown_sale", "the sale does not exist"));
            self.effects.push_dead_letter(record, refusal, None);
            return;
        };
        match self.applicable_body(record, sale) {
            Err(refusal) => self.refuse(record, sale, refusal),
            Ok(Record::Accepted(batch)) => self.apply_acceptance(record, batch, sale),
            Ok(Record::Totals(change)) => self.apply_totals(change, sale),
            Ok(Record::Barrier(barrier)) => self.apply_barrier(barrier, sale, record.offset),
            Ok(Record::Command(command)) => self.effects.apply_command(record.offset, command),
            // Ticks are handled above; a decision is never in a batch with other records.
            Ok(Record::Tick(_) | Record::Decision(_)) => {}
        }
    }

    fn current_sale(&self, record: &'a DecodedRecord) -> Option<CurrentSale<'a>> {
        let name = record.sale.as_ref()?;
        let cached = self.state.sales.get(name)?;
        let (next_sequence, settled_epoch) =
            self.sales.get(name).copied().unwrap_or((cached.next_sequence, cached.settled_epoch));
        Some(CurrentSale { name, cached, next_sequence, settled_epoch })
    }

    fn applicable_body(
        &self,
        record: &'a DecodedRecord,
        sale: CurrentSale<'a>,
    ) -> Result<&'a Record, Refusal> {
        let body = record.body.as_ref().map_err(Refusal::clone)?;
        let sale = sale.cached;
        if sale.partition != self.partition {
            let detail = format!("the sale belongs to partition {}", sale.partition);
            return Err(Refusal::new("wrong_partition", detail));
        }
        let is_unknown = |sku: &&_| !sale.skus.contains(*sku);
        let unknown_sku = match body {
            // The headers' SKUs are those of the lines: decoding has checked it.
            Record::Accepted(_) => record.headers.units.keys().find(is_unknown),
            Record::Totals(change) => change.items.iter().map(|item| &item.sku).find(is_unknown),
            Record::Barrier(_) | Record::Command(_) | Record::Tick(_) | Record::Decision(_) => None,
        };
        match unknown_sku {
            Some(sku) => Err(Refusal::new("unknown_sku", format!("the sale does not have {sku}"))),
            None => Ok(body),
        }
    }

    fn refuse(&mut self, record: &'a DecodedRecord, sale: CurrentSale<'a>, refusal: Refusal) {
        let is_void = record.headers.epoch.is_some_and(|epoch| epoch < sale.settled_epoch);
        let counted = (!is_void).then_some((sale.cached, sale.settled_epoch));
        self.effects.push_dead_letter(record, refusal, counted);
        if let Some(next) = next_sequence_by_headers(record).filter(|_| !is_void) {
            // The sequences of the record are used, whatever the operator decides about it.
            self.sales.insert(sale.name, (sale.next_sequence.max(next), sale.settled_epoch));
        }
    }

    fn apply_acceptance(
        &mut self,
        record: &'a DecodedRecord,
        batch: &'a AcceptedBatch,
        sale: CurrentSale<'a>,
    ) {
        if batch.epoch < sale.settled_epoch && !fault::removed!("barrier") {
            self.effects.void_orders += batch.orders.len() as u64;
            return;
        }
        self.effects.accept_batch(record, batch, &sale.cached.currency, self.settled_orders.as_mut());
        let next = batch.first_sequence.0 + batch.orders.len() as u64;
        self.sales.insert(sale.name, (sale.next_sequence.max(next), sale.settled_epoch));
    }

    fn apply_totals(&mut self, change: &'a TotalsChange, sale: CurrentSale<'a>) {
        if change.epoch < sale.settled_epoch {
            tracing::info!(sale_id = %sale.name, change_id = %change.change_id, "dropped a void change of totals");
            return;
        }
        // Its events follow those of all orders of the batch. The sale is among those that change, so that its row
        // is locked before its items: every transaction locks in this order.
        self.sales.entry(sale.name).or_insert((sale.next_sequence, sale.settled_epoch));
        self.effects.changes.push((change, self.change_seqs));
        self.change_seqs += change.items.len() as i64;
    }

    fn apply_barrier(&mut self, barrier: &Barrier, sale: CurrentSale<'a>, offset: i64) {
        if barrier.epoch > sale.settled_epoch {
            tracing::info!(sale_id = %sale.name, epoch = barrier.epoch.0, offset, "settled a barrier: lower epochs have ended");
            self.sales.insert(sale.name, (sale.next_sequence, barrier.epoch));
        }
    }

    fn finish(self) -> Effects<'a> {
        let mut effects = self.effects;
        let first_change_seq = self.state.next_seq + effects.order_seqs();
        for (_, seq) in &mut effects.changes {
            *seq += first_change_seq;
        }
        effects.sales =
            self.sales.iter().map(|(name, (next, epoch))| (*name, (Sequence(*next), *epoch))).collect();
        effects
    }
}

impl<'a> Effects<'a> {
    fn reserve(&mut self, orders: usize) {
        self.orders.reserve(orders);
        self.lines.reserve(orders);
        self.created.reserve(orders);
    }

    fn apply_tick(&mut self, tick: Tick) {
        for (id, mut order) in self.order_states.due(tick, self.time.schedule.automatic) {
            let trigger = order.status.delivery_trigger().unwrap_or(Trigger::Expire);
            if trigger == Trigger::Expire {
                order.cancel_reason = Some(CancelReason::Expired);
            }
            if self.advance(id, &mut order, trigger, None) {
                self.expired_orders += u64::from(trigger == Trigger::Expire);
                self.update_order(id, order);
            }
        }
    }

    fn accept_batch(
        &mut self,
        record: &'a DecodedRecord,
        batch: &'a AcceptedBatch,
        currency: &'a Currency,
        mut settled_orders: Option<&mut FxHashSet<OrderId>>,
    ) {
        let sale = &batch.sale_id;
        let accepted_at = batch.accepted_at.to_datetime();
        let mut new = 0;
        let first = self.orders.order_id.len();
        for (order, sequence) in batch.orders.iter().zip(batch.first_sequence.0..) {
            // Only if a record may be a duplicate is each order checked, and recorded for the next one.
            if let Some(settled_orders) = &mut settled_orders
                && !settled_orders.insert(order.id)
            {
                self.duplicate_orders += 1;
                continue;
            }
            new += 1;
            let sequence = Sequence(sequence);
            self.push_order(CreatedOrder { batch, order, sequence, currency }, accepted_at);
        }
        if new == batch.orders.len() {
            // The headers' units are those of the lines: decoding has checked it.
            for (sku, units) in &record.headers.units {
                self.units.entry((sale, sku)).or_default().held += *units as i64;
            }
        } else {
            let added: FxHashSet<OrderId> = self.orders.order_id[first..].iter().copied().collect();
            let orders = batch.orders.iter().filter(|order| added.contains(&order.id));
            for line in orders.flat_map(|order| &order.lines) {
                self.units.entry((sale, &line.sku)).or_default().held += i64::from(line.quantity);
            }
        }
    }

    fn push_dead_letter(
        &mut self,
        record: &'a DecodedRecord,
        refusal: Refusal,
        counted: Option<(&CachedSale, Epoch)>,
    ) {
        let is_counted = |sku| counted.is_some_and(|(sale, _)| sale.skus.contains(sku));
        let units = record.headers.units.iter().filter(|(sku, _)| is_counted(*sku));
        let units = units.filter_map(|(sku, units)| Some((sku.as_str(), i64::try_from(*units).ok()?)));
        let units = units.collect();
        let settled_epoch = counted.map(|(_, epoch)| epoch);
        self.dead_letters.push(DeadLetter { record, refusal, units, settled_epoch });
    }
}

/// Returns the sequence behind a record that cannot be applied, if its headers contain a valid one.
fn next_sequence_by_headers(record: &DecodedRecord) -> Option<u64> {
    let (first, count) = record.headers.sequences?;
    let next = first.0.checked_add(count).filter(|next| i64::try_from(*next).is_ok())?;
    (first.0 > 0 && (1..=BATCH_ORDERS_MAX as u64).contains(&count)).then_some(next)
}

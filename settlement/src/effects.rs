//! What a batch of records does to Postgres, decided from the records and the memory alone, in the
//! order of the log. Columns borrow from the records: nothing is copied for an order.

use std::collections::BTreeMap;

use contract::ids::{Epoch, OrderId, SaleId, Sequence};
use contract::lifecycle::{CancelReason, Trigger};
use contract::money::Currency;
use contract::order::Order;
use contract::record::{AcceptedBatch, BATCH_ORDERS_MAX, Command, Record, Tick, TotalsChange};
use rustc_hash::{FxHashMap, FxHashSet};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::columns::{LineColumns, MoveColumns, OrderColumns, ReleaseColumns};
use crate::incoming::{Incoming, Refusal};
use crate::memory::{Memory, SaleMemory};
use crate::standing::{Orders, Standing, Stored};

/// One batch's effects.
#[derive(Debug, Default)]
pub struct Effects<'a> {
    /// New orders, a vector a column.
    pub orders: OrderColumns<'a>,
    /// Their lines.
    pub lines: LineColumns<'a>,
    /// Orders that move to another state.
    pub moves: MoveColumns,
    /// Units that they give back.
    pub releases: ReleaseColumns<'a>,
    /// How many units more (or less) are held, per sale and SKU.
    pub held: FxHashMap<(&'a str, &'a str), i64>,
    /// Sales whose next sequence or settled epoch moves, with both.
    pub sales: BTreeMap<&'a str, (i64, i64)>,
    /// Changes of totals, with the first event sequence that each may use (one for each item).
    pub changes: Vec<(&'a TotalsChange, i64)>,
    /// Records that cannot be applied.
    pub dead_letters: Vec<DeadLetter<'a>>,
    /// The new orders again, for their events.
    pub created: Vec<Created<'a>>,
    /// Orders and changes of ended epochs.
    pub void_orders: u64,
    /// Orders that were settled before.
    pub doubled_orders: u64,
    /// Orders that were not paid in time.
    pub expired_orders: u64,
    /// What became of commands.
    pub commands: Vec<(&'static str, CommandResult)>,
    orders_now: Orders<'a>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandResult {
    /// The order moved.
    Applied,
    /// It had done so before, or the lifecycle does not have this move.
    Illegal,
    /// There is no such order of this customer.
    Unknown,
}

impl CommandResult {
    /// For metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Illegal => "illegal",
            Self::Unknown => "unknown",
        }
    }
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
    pub record: &'a Incoming,
    /// Why.
    pub refusal: Refusal,
    /// The units that it holds back: those of known SKUs, unless its epoch is void.
    pub units: BTreeMap<&'a str, i64>,
    /// The highest barrier before it; `None` where its sale is not known or its epoch is void.
    pub settled_epoch: Option<Epoch>,
}

/// Records that are not all new by their sequences: their orders' ids must be looked for.
pub fn suspects(memory: &Memory, records: &[Incoming]) -> Vec<Uuid> {
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

fn accepted(record: &Incoming) -> Option<&AcceptedBatch> {
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
        memory: &'a Memory,
        records: &'a [Incoming],
        stored: &'a [Stored],
        mut settled: Option<FxHashSet<Uuid>>,
    ) -> Self {
        let mut effects = Self::with_capacity(records.iter().map(Incoming::orders).sum());
        effects.orders_now = Orders::before(records, stored);
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
                Ok(Record::Command(command)) => effects.obey(command),
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
    pub fn aftermath(&self) -> Aftermath {
        let changes: usize = self.changes.iter().map(|(change, _)| change.items.len()).sum();
        Aftermath {
            seqs: self.order_seqs() + changes as i64,
            sales: self.sales.iter().map(|(name, moved)| ((*name).to_string(), *moved)).collect(),
        }
    }

    /// Sequences of what happens to orders: new ones first, then moves, then what these give back. Changes
    /// of totals come behind them.
    fn order_seqs(&self) -> i64 {
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

    fn obey(&mut self, command: &'a Command) {
        let id = command.order_id;
        let result = match self.orders_now.of(command) {
            None => {
                tracing::warn!(sale_id = %command.sale_id, order_id = %id, command = command.action.as_str(), "no such order of this customer");
                CommandResult::Unknown
            }
            Some(order) => match self.advance(id, order, command.action.trigger(), CancelReason::Customer) {
                true => CommandResult::Applied,
                false => CommandResult::Illegal,
            },
        };
        self.commands.push((command.action.as_str(), result));
    }

    fn tick(&mut self, tick: Tick) {
        for (id, order) in self.orders_now.due(tick) {
            if self.advance(id, order, Trigger::Expire, CancelReason::Expired) {
                self.expired_orders += 1;
            }
        }
    }

    /// Moves an order, if the lifecycle has that move. Whoever no longer holds units gives them back.
    fn advance(&mut self, id: OrderId, order: Standing<'a>, trigger: Trigger, reason: CancelReason) -> bool {
        let Ok(next) = order.status.next(trigger) else { return false };
        self.moves.push(id, next, Some(reason));
        if order.status.holds_units() && !next.holds_units() {
            for (sku, units) in order.units() {
                *self.held.entry((order.sale, sku)).or_default() -= units;
                self.releases.push(order.sale, sku, units, id);
            }
        }
        self.orders_now.moved(id, next);
        true
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
        record: &'a Incoming,
        batch: &'a AcceptedBatch,
        currency: &'a Currency,
        mut seen: Option<&mut FxHashSet<Uuid>>,
    ) {
        let sale = batch.sale_id.as_str();
        let accepted_at = batch.accepted_at.to_datetime();
        let mut new = 0;
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
            self.orders_now.created(batch, order);
        }
        if new == batch.orders.len() {
            // The headers' units are those of the lines: checked when the record was read.
            for (sku, units) in &record.headers.units {
                *self.held.entry((sale, sku.as_str())).or_default() += *units as i64;
            }
        } else {
            let from = self.orders.order_id.len() - new;
            let added: FxHashSet<Uuid> = self.orders.order_id[from..].iter().copied().collect();
            for line in batch.orders.iter().filter(|o| added.contains(&o.id.0)).flat_map(|o| &o.lines) {
                *self.held.entry((sale, line.sku.as_str())).or_default() += i64::from(line.quantity);
            }
        }
    }

    fn push(&mut self, created: Created<'a>, accepted_at: OffsetDateTime) {
        let Created { batch, order, sequence, currency } = created;
        self.orders.push(batch, order, sequence.0 as i64, currency, accepted_at);
        self.lines.push(order);
        self.created.push(created);
    }

    /// An order that is judged apart from its batch's others: it becomes a row, and its units are held.
    pub fn take(&mut self, created: Created<'a>) {
        self.push(created, created.batch.accepted_at.to_datetime());
        for line in &created.order.lines {
            let sale = created.batch.sale_id.as_str();
            *self.held.entry((sale, line.sku.as_str())).or_default() += i64::from(line.quantity);
        }
    }

    fn bury(&mut self, record: &'a Incoming, refusal: Refusal, counted: Option<(&SaleMemory, Epoch)>) {
        let units = record.headers.units.iter();
        let units = units.filter(|(sku, _)| counted.is_some_and(|(sale, _)| sale.skus.contains(*sku)));
        let units = units.filter_map(|(sku, n)| Some((sku.as_str(), i64::try_from(*n).ok()?))).collect();
        let settled_epoch = counted.map(|(_, epoch)| epoch);
        self.dead_letters.push(DeadLetter { record, refusal, units, settled_epoch });
    }
}

/// The sequence behind a record that cannot be applied, as far as its headers tell one that can be.
fn behind(record: &Incoming) -> Option<u64> {
    let (first, count) = record.headers.sequences?;
    let next = first.0.checked_add(count).filter(|next| i64::try_from(*next).is_ok())?;
    (first.0 > 0 && (1..=BATCH_ORDERS_MAX as u64).contains(&count)).then_some(next)
}

/// How the memory moves with a batch.
#[derive(Debug)]
pub struct Aftermath {
    /// Event sequences that the batch used.
    pub seqs: i64,
    sales: Vec<(String, (i64, i64))>,
}

impl Aftermath {
    /// The batch is committed, up to `next_offset`.
    pub fn apply(self, memory: &mut Memory, next_offset: i64) {
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
fn unapplicable(record: &Incoming, reason: &'static str, detail: &str) -> Refusal {
    record.body.as_ref().err().cloned().unwrap_or_else(|| Refusal::new(reason, detail))
}

fn body_of_known_skus<'a>(
    record: &Incoming,
    body: &'a Record,
    sale: &SaleMemory,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incoming::Raw;
    use contract::ids::{CustomerId, IdempotencyKey, RequestDigest, RequestFingerprint, Sku};
    use contract::order::Line;
    use contract::record::{Action, Headers, OutboxId, RecordType};
    use contract::timestamp::Timestamp;

    fn record(offset: i64, key: &str, headers: Headers, value: Vec<u8>) -> Incoming {
        let raw = Raw { key: Some(key.into()), value: Some(value), headers: vec![] };
        let incoming = Incoming::new(offset, headers, raw);
        assert!(incoming.body.is_ok(), "{:?}", incoming.body);
        incoming
    }

    /// However many records of one batch move an order, it moves once, and its units come back once.
    #[test]
    fn an_order_moves_once_in_a_batch_that_makes_cancels_and_expires_it() {
        let (sale, at) = (SaleId::parse("s").unwrap(), Timestamp(1_790_000_000_000));
        let (customer, key) = (CustomerId::parse("c").unwrap(), IdempotencyKey::parse("k").unwrap());
        let order = Order {
            id: OrderId::new(at.0, 1, RequestFingerprint::of(&sale, &customer, &key)),
            customer: customer.clone(),
            email: None,
            key,
            digest: RequestDigest([0; 8]),
            lines: vec![Line { sku: Sku::parse("A").unwrap(), quantity: 2, unit_price: 1 }],
            policy: None,
            discount: 0,
            delivery_fee: 0,
            hold_seconds: 60,
            fulfilment: None,
            address: None,
            payment: None,
        };
        let json = serde_json::to_vec(&order).unwrap();
        let id = OutboxId::batch(Sequence(1), 1);
        let accepted = lua::outbox::accepted(&sale, Epoch(1), id, at, &json, [&order]);
        let command = Command {
            sale_id: sale.clone(),
            order_id: order.id,
            customer_id: customer,
            at,
            action: Action::Cancel,
        };
        let command = serde_json::to_vec(&command).unwrap();
        let cancel = || Headers::without_epoch(RecordType::Command);
        let tick = serde_json::to_vec(&Tick { at: at.plus_seconds(3600) }).unwrap();
        let records = [
            record(0, "s", accepted.headers, accepted.value),
            record(1, "s", cancel(), command.clone()),
            record(2, "s", cancel(), command),
            record(3, "", Headers::without_epoch(RecordType::Tick), tick),
        ];
        let mut memory = Memory::at(0, 7);
        let known = SaleMemory {
            partition: 0,
            next_sequence: 1,
            settled_epoch: Epoch(1),
            currency: Currency::KRW,
            skus: [Sku::parse("A").unwrap()].into_iter().collect(),
        };
        memory.sales.insert(sale, known);
        let effects = Effects::decide(0, &memory, &records, &[], None);
        assert_eq!((effects.moves.order_id.len(), &effects.releases.units), (1, &vec![2]));
        assert_eq!(effects.held.get(&("s", "A")), Some(&0));
        assert_eq!(
            effects.commands,
            [("cancel", CommandResult::Applied), ("cancel", CommandResult::Illegal)]
        );
        assert_eq!((effects.expired_orders, effects.first_release_seq(7)), (0, 9));
        assert_eq!(effects.aftermath().seqs, 3, "created, cancelled, units back");
    }
}

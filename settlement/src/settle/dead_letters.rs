//! An operator's decisions about dead letters. A decision is a record of the log, so that it has its place among all
//! other records of the sale, and is applied once, by the owner.
//!
//! *Discard* drops the record: its units are released. *Replay* judges it again as if it were at this position of the
//! log: this version may be able to decode it, or the operator may have raised a total. Its epoch is judged by the
//! barriers before its original position, because the customers were promised their orders by those; the idempotency
//! key, the limit and the stock are judged by the current state. The units of orders that are not accepted are
//! released too.

use std::collections::{BTreeMap, HashMap, HashSet};

use contract::ids::{CustomerId, Epoch, IdempotencyKey, OrderId, SaleId, Sequence, Sku};
use contract::money::Currency;
use contract::order::Order;
use contract::record::{AcceptedBatch, Decision, Headers, Record, Resolution};
use contract::topics::ORDERS;
use deadpool_postgres::{Client, Transaction};
use invariants::{position, sequence};
use process::invariant;

use crate::consume::decoded_record::{DecodedRecord, RawRecord, Refusal};
use crate::decide::delivery_schedule::DeliverySchedule;
use crate::decide::effects::{BatchTime, CreatedOrder, Effects};
use crate::decide::prior_state::PriorState;
use crate::queries::{
    LockDeadLetter, LockDeadLetterRow, LockItems, LockSaleOfDeadLetter, LockSaleOfDeadLetterRow,
    ReleaseColumns, RequestRebuildAfterDecision, ResolveDeadLetter, ReturnDeadLettered, SelectRivals,
};
use crate::store::{BatchSpan, StoreError, transaction};

/// A dead letter that is not yet decided.
struct UndecidedLetter {
    id: i64,
    sale: Option<SaleId>,
    /// The units that are counted as dead-lettered.
    units: BTreeMap<Sku, i64>,
    /// The highest barrier before the record; `None` if its epoch was void or its sale did not exist.
    settled_epoch: Option<Epoch>,
    record: DecodedRecord,
}

/// Applies a decision, in one transaction with its position. Returns the span with the event sequences that it used.
pub async fn apply_decision(
    client: &mut Client,
    mut span: BatchSpan,
    decision: Decision,
    schedule: DeliverySchedule,
) -> Result<BatchSpan, StoreError> {
    let tx = client.transaction().await?;
    transaction::move_to(&tx, span).await?;
    let id = decision.dead_letter_id;
    let lock = LockDeadLetter { id, topic: ORDERS.name, partition: span.partition };
    match lock.fetch(&tx).await?.map(|row| UndecidedLetter::from_row(id, row)) {
        None => {
            tracing::info!(
                dead_letter = id,
                "ignored a decision: the dead letter was decided before, or does not exist"
            );
        }
        Some(letter) => {
            let from_seq = span.from_seq;
            span.to_seq += match decision.verdict {
                Resolution::Discard => discard(&tx, span, &letter).await?,
                Resolution::Replay => replay(&tx, span, &letter, schedule).await?,
            };
            let moved = BatchSpan { from_offset: span.to_offset, from_seq, ..span };
            transaction::move_to(&tx, moved).await?;
        }
    }
    invariant::check(span.partition, position::advances(span.from_offset, span.to_offset));
    invariant::check(span.partition, sequence::never_decreases(span.from_seq as u64, span.to_seq as u64));
    tx.commit().await?;
    Ok(span)
}

/// Drops the record. Returns the number of event sequences that this used.
async fn discard(tx: &Transaction<'_>, span: BatchSpan, letter: &UndecidedLetter) -> Result<i64, StoreError> {
    let used = release_units(tx, span, span.from_seq, letter, &BTreeMap::new()).await?;
    resolve(tx, span, letter, "discarded", "its units are free", None).await?;
    Ok(used)
}

/// Judges the record again. Returns the number of event sequences that this used.
async fn replay(
    tx: &Transaction<'_>,
    span: BatchSpan,
    letter: &UndecidedLetter,
    schedule: DeliverySchedule,
) -> Result<i64, StoreError> {
    let (batch, currency, limit) = match check_replay(tx, span, letter).await? {
        Ok(checked) => checked,
        Err(refusal) => return leave_undecided(tx, span, letter, refusal).await,
    };
    let mut admission = Admission::read(tx, batch, letter, limit).await?;
    let mut lines = batch.orders.iter().flat_map(|order| &order.lines);
    if let Some(line) = lines.find(|line| !admission.has_sku(line.sku.as_str())) {
        let refusal = Refusal::new("unknown_sku", format!("the sale does not have {}", line.sku));
        return leave_undecided(tx, span, letter, refusal).await;
    }
    if letter.settled_epoch.is_none_or(|settled| batch.epoch < settled) {
        let used = release_units(tx, span, span.from_seq, letter, &BTreeMap::new()).await?;
        resolve(tx, span, letter, "replayed", "void: its epoch had ended before it", None).await?;
        return Ok(used);
    }

    let records = std::slice::from_ref(&letter.record);
    let prior = PriorState::read_orders(tx, span.partition, records, false).await?;
    let mut effects = Effects::new(&prior, BatchTime { at: span.at, schedule });
    let mut accepted_units: BTreeMap<Sku, i64> = BTreeMap::new();
    for (order, sequence) in batch.orders.iter().zip(batch.first_sequence.0..) {
        let sequence = Sequence(sequence);
        if !admission.admit(order, sequence) {
            continue;
        }
        for line in &order.lines {
            *accepted_units.entry(line.sku.clone()).or_default() += i64::from(line.quantity);
        }
        effects.accept_order(CreatedOrder { batch, order, sequence, currency: &currency });
    }
    // The letter's own units are freed first, and then held by those of its orders that are accepted.
    let (orders, seqs) = (effects.orders.order_id.len(), effects.order_seqs());
    let used = release_units(tx, span, span.from_seq + seqs, letter, &accepted_units).await?;
    if orders > 0 {
        transaction::insert(tx, span, &effects).await?;
        request_rebuild(tx, &batch.sale_id, batch.epoch).await?;
    }
    let resolution = format!("{orders} of {} orders accepted", batch.orders.len());
    resolve(tx, span, letter, "replayed", &resolution, None).await?;
    Ok(seqs + used)
}

type ReplayTerms<'a> = (&'a AcceptedBatch, Currency, Option<i32>);

/// Checks that the record can be judged at all. Returns its batch with the currency and the limit of the sale, or the
/// reason why it still cannot be applied.
async fn check_replay<'a>(
    tx: &Transaction<'_>,
    span: BatchSpan,
    letter: &'a UndecidedLetter,
) -> Result<Result<ReplayTerms<'a>, Refusal>, StoreError> {
    let batch = match &letter.record.body {
        Err(refusal) => return Ok(Err(refusal.clone())),
        Ok(Record::Accepted(batch)) => batch,
        Ok(_) => {
            let why = "only acceptances can be replayed: discard the record, and repeat its operation";
            return Ok(Err(Refusal::new("guard_trip", why)));
        }
    };
    let Some(sale) = lock_sale(tx, &batch.sale_id).await? else {
        return Ok(Err(Refusal::new("unknown_sale", "the sale does not exist")));
    };
    if sale.partition != span.partition {
        let why = format!("the sale belongs to partition {}", sale.partition);
        return Ok(Err(Refusal::new("wrong_partition", why)));
    }
    Ok(Ok((batch, sale.currency, sale.max_orders_per_customer)))
}

/// Leaves the letter undecided, with the reason why it still cannot be applied.
async fn leave_undecided(
    tx: &Transaction<'_>,
    span: BatchSpan,
    letter: &UndecidedLetter,
    refusal: Refusal,
) -> Result<i64, StoreError> {
    resolve(tx, span, letter, "undecided", "it still cannot be applied", Some(refusal)).await?;
    Ok(0)
}

/// Stops counting the letter's units as dead-lettered, and releases those that its orders do not use, from sequence
/// `first` on. Returns the number of releases.
async fn release_units(
    tx: &Transaction<'_>,
    span: BatchSpan,
    first: i64,
    letter: &UndecidedLetter,
    accepted_units: &BTreeMap<Sku, i64>,
) -> Result<i64, StoreError> {
    let Some(sale) = &letter.sale else { return Ok(0) };
    let Some(row) = lock_sale(tx, sale).await? else { return Ok(0) };
    ReturnDeadLettered { sale_id: sale, units: &serde_json::json!(letter.units) }.execute(tx).await?;
    if row.partition != span.partition {
        // The sale's releases use the sequences of another partition: only a rebuild can update Redis.
        request_rebuild(tx, sale, Epoch(0)).await?;
        return Ok(0);
    }
    let mut releases = ReleaseColumns::default();
    for (sku, units) in &letter.units {
        let units = units - accepted_units.get(sku).copied().unwrap_or(0);
        if units > 0 {
            releases.sale_id.push(sale);
            releases.sku.push(sku);
            releases.units.push(units);
            releases.order_id.push(None);
        }
    }
    let used = releases.units.len() as i64;
    if used > 0 {
        transaction::insert_releases(tx, span, first, &releases).await?;
    }
    Ok(used)
}

async fn lock_sale(
    tx: &Transaction<'_>,
    sale_id: &SaleId,
) -> Result<Option<LockSaleOfDeadLetterRow>, StoreError> {
    Ok(LockSaleOfDeadLetter { sale_id }.fetch(tx).await?)
}

/// Requests the rebuild of a sale, if its epoch is newer than this one.
async fn request_rebuild(tx: &Transaction<'_>, sale_id: &SaleId, epoch: Epoch) -> Result<(), StoreError> {
    RequestRebuildAfterDecision { sale_id, epoch }.execute(tx).await?;
    Ok(())
}

async fn resolve(
    tx: &Transaction<'_>,
    span: BatchSpan,
    letter: &UndecidedLetter,
    state: &str,
    resolution: &str,
    refusal: Option<Refusal>,
) -> Result<(), StoreError> {
    let detail = refusal.as_ref().map(|refusal| refusal.detail.replace('\0', "\u{fffd}"));
    let update = ResolveDeadLetter {
        id: letter.id,
        state,
        resolution,
        reason: refusal.as_ref().map(|refusal| refusal.reason),
        detail: detail.as_deref(),
        decided_at: span.at.to_datetime(),
    };
    update.execute(tx).await?;
    tracing::info!(
        dead_letter = letter.id,
        sale_id = letter.sale.as_ref().map(SaleId::as_str),
        state,
        resolution,
        "applied the decision about a dead letter"
    );
    Ok(())
}

/// The state by which replayed orders are admitted: the available stock, and the orders that may conflict with them.
struct Admission {
    limit: Option<i32>,
    /// The available units of each SKU; `None` if they are unlimited.
    available: HashMap<Sku, Option<i64>>,
    ids: HashSet<OrderId>,
    keys: HashSet<(CustomerId, IdempotencyKey)>,
    sequences: HashSet<Sequence>,
    /// The number of orders of each customer that count against the limit.
    live: HashMap<CustomerId, i32>,
}

impl Admission {
    async fn read(
        tx: &Transaction<'_>,
        batch: &AcceptedBatch,
        letter: &UndecidedLetter,
        limit: Option<i32>,
    ) -> Result<Self, StoreError> {
        let sale_id = &batch.sale_id;
        let mut available = HashMap::new();
        for item in (LockItems { sale_id }).fetch(tx).await? {
            let dead_lettered = letter.units.get(&item.sku).copied().unwrap_or(0);
            available.insert(item.sku, item.available.map(|free| free + dead_lettered));
        }
        let customers: Vec<&str> = batch.orders.iter().map(|order| order.customer.as_str()).collect();
        let first_sequence = batch.first_sequence.0 as i64;
        let last_sequence = first_sequence + batch.orders.len() as i64 - 1;
        let mut admission = Self {
            limit,
            available,
            ids: HashSet::new(),
            keys: HashSet::new(),
            sequences: HashSet::new(),
            live: HashMap::new(),
        };
        let rivals = SelectRivals { sale_id, customer_ids: &customers, first_sequence, last_sequence };
        for rival in rivals.fetch(tx).await? {
            *admission.live.entry(rival.customer_id.clone()).or_default() += i32::from(rival.live);
            admission.ids.insert(rival.order_id);
            admission.keys.insert((rival.customer_id, rival.idempotency_key));
            admission.sequences.insert(rival.sequence);
        }
        Ok(admission)
    }

    fn has_sku(&self, sku: &str) -> bool {
        self.available.contains_key(sku)
    }

    /// Admits an order and takes its units, or returns false.
    fn admit(&mut self, order: &Order, sequence: Sequence) -> bool {
        let key = (order.customer.clone(), order.key.clone());
        let live = self.live.get(&order.customer).copied().unwrap_or(0);
        let is_settled =
            self.ids.contains(&order.id) || self.keys.contains(&key) || self.sequences.contains(&sequence);
        let is_available = order.lines.iter().all(|line| {
            let free = self.available.get(line.sku.as_str()).copied().flatten();
            free.is_none_or(|free| free >= i64::from(line.quantity))
        });
        if is_settled || self.limit.is_some_and(|limit| live >= limit) || !is_available {
            return false;
        }
        for line in &order.lines {
            if let Some(Some(free)) = self.available.get_mut(line.sku.as_str()) {
                *free -= i64::from(line.quantity);
            }
        }
        self.ids.insert(order.id);
        self.keys.insert(key);
        self.live.insert(order.customer.clone(), live + 1);
        true
    }
}

impl UndecidedLetter {
    fn from_row(id: i64, row: LockDeadLetterRow) -> Self {
        let headers = row.headers.0;
        let present =
            headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?.as_bytes())));
        let decoded = Headers::decode(present);
        let headers = headers.clone().into_iter().collect();
        let raw = RawRecord { key: row.key, value: row.value, headers };
        Self {
            id,
            sale: row.sale_id,
            units: row.units.0,
            settled_epoch: row.settled_epoch,
            record: DecodedRecord::new(row.log_offset, decoded, raw),
        }
    }
}

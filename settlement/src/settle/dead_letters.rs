//! What an operator decides about records that could not be applied. A decision is a record of the log, so it
//! has its place among everything else that happens to the sale, and is carried out once, by the owner.
//!
//! *Discard* gives the record up: its units come back by the release path. *Replay* judges it again as if it
//! stood here: perhaps this version can read it, or the operator has raised a total. Its epoch is judged by
//! the barriers before its first place, because that is what its customers were promised by; key, limit and
//! stock are judged by what stands now. Units of orders that are not taken come back, too.

use std::collections::{BTreeMap, HashMap, HashSet};

use contract::ids::{Epoch, SaleId, Sequence};
use contract::money::Currency;
use contract::order::Order;
use contract::record::{AcceptedBatch, Decision, Headers, Record, Resolution};
use contract::topics::ORDERS;
use deadpool_postgres::{Client, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::consume::decoded_record::{DecodedRecord, RawRecord, Refusal};
use crate::decide::delivery_schedule::DeliverySchedule;
use crate::decide::effects::{Created, Effects, Now};
use crate::decide::order_state::PriorState;
use crate::store::database::DatabaseError;
use crate::store::insert_columns::ReleaseColumns;
use crate::store::{BatchSpan, StoreError, transaction};

/// An undecided letter.
struct Letter {
    id: i64,
    sale: Option<String>,
    /// Counted as dead-lettered.
    units: BTreeMap<String, i64>,
    /// The highest barrier before it; `None` where its epoch was void or its sale unknown.
    settled_epoch: Option<Epoch>,
    record: DecodedRecord,
}

/// Carries a decision out, in one transaction with its position. Returns where that leads.
pub async fn carry_out(
    client: &mut Client,
    mut span: BatchSpan,
    decision: Decision,
    pace: DeliverySchedule,
) -> Result<BatchSpan, StoreError> {
    let tx = client.transaction().await?;
    transaction::move_to(&tx, span).await?;
    let id = decision.dead_letter_id;
    let lock = tx.prepare_cached(include_str!("../../queries/lock_dead_letter.sql")).await?;
    let row = tx.query_opt(&lock, &[&id, &ORDERS.name, &span.partition]).await?;
    match row.map(|row| Letter::from_row(id, &row)).transpose()? {
        None => tracing::info!(dead_letter = id, "nothing to decide: it was decided before, or is not here"),
        Some(letter) => {
            let from_seq = span.from_seq;
            span.to_seq += match decision.verdict {
                Resolution::Discard => discard(&tx, span, &letter).await?,
                Resolution::Replay => replay(&tx, span, &letter, pace).await?,
            };
            let moved = BatchSpan { from_offset: span.to_offset, from_seq, ..span };
            transaction::move_to(&tx, moved).await?;
        }
    }
    tx.commit().await?;
    Ok(span)
}

/// The record is given up. Returns how many event sequences that used.
async fn discard(tx: &Transaction<'_>, span: BatchSpan, letter: &Letter) -> Result<i64, StoreError> {
    let used = give_back(tx, span, span.from_seq, letter, &BTreeMap::new()).await?;
    resolve(tx, span, letter, "discarded", "its units are free", None).await?;
    Ok(used)
}

/// The record is judged again. Returns how many event sequences that used.
async fn replay(
    tx: &Transaction<'_>,
    span: BatchSpan,
    letter: &Letter,
    pace: DeliverySchedule,
) -> Result<i64, StoreError> {
    let batch = match &letter.record.body {
        Err(refusal) => return stays(tx, span, letter, refusal.clone()).await,
        Ok(Record::Accepted(batch)) => batch,
        Ok(_) => {
            let why = "only acceptances are judged again: discard it, and do again what it said";
            return stays(tx, span, letter, Refusal::new("guard_trip", why)).await;
        }
    };
    let Some(sale) = lock_sale(tx, batch.sale_id.as_str()).await? else {
        return stays(tx, span, letter, Refusal::new("unknown_sale", "no such sale")).await;
    };
    let partition: i32 = sale.get(2);
    if partition != span.partition {
        let why = format!("the sale belongs to partition {partition}");
        return stays(tx, span, letter, Refusal::new("wrong_partition", why)).await;
    }
    let currency = Currency::parse(sale.get(0))
        .ok_or_else(|| DatabaseError::Invalid("a sale has an invalid currency".into()))?;
    let limit: Option<i32> = sale.get(1);
    let mut room = Room::read(tx, batch, letter, limit).await?;
    let unknown = batch.orders.iter().flat_map(|o| &o.lines).find(|line| !room.knows(line.sku.as_str()));
    if let Some(line) = unknown {
        return stays(tx, span, letter, Refusal::new("unknown_sku", format!("the sale has no {}", line.sku)))
            .await;
    }
    if letter.settled_epoch.is_none_or(|settled| batch.epoch < settled) {
        let used = give_back(tx, span, span.from_seq, letter, &BTreeMap::new()).await?;
        resolve(tx, span, letter, "replayed", "void: its epoch had ended before it", None).await?;
        return Ok(used);
    }

    let before = PriorState::read(tx, span.partition, std::slice::from_ref(&letter.record), false).await?;
    let mut effects = Effects::apart(&before, Now { at: span.at, pace });
    let mut taken: BTreeMap<String, i64> = BTreeMap::new();
    for (order, sequence) in batch.orders.iter().zip(batch.first_sequence.0..) {
        if !room.takes(order, Sequence(sequence)) {
            continue;
        }
        for line in &order.lines {
            *taken.entry(line.sku.to_string()).or_default() += i64::from(line.quantity);
        }
        effects.take(Created { batch, order, sequence: Sequence(sequence), currency: &currency });
    }
    // The letter's own units are given free first, and then held by those of its orders that stand now.
    let (orders, seqs) = (effects.orders.order_id.len(), effects.order_seqs());
    let used = give_back(tx, span, span.from_seq + seqs, letter, &taken).await?;
    if orders > 0 {
        transaction::insert(tx, span, &effects).await?;
        request_rebuild(tx, batch.sale_id.as_str(), batch.epoch).await?;
    }
    let resolution = format!("{orders} of {} orders taken", batch.orders.len());
    resolve(tx, span, letter, "replayed", &resolution, None).await?;
    Ok(seqs + used)
}

/// It still cannot be applied, and says why.
async fn stays(
    tx: &Transaction<'_>,
    span: BatchSpan,
    letter: &Letter,
    refusal: Refusal,
) -> Result<i64, StoreError> {
    resolve(tx, span, letter, "undecided", "it still cannot be applied", Some(refusal)).await?;
    Ok(0)
}

/// The letter's units count no longer; those that its orders do not take come back, from sequence `first` on.
async fn give_back(
    tx: &Transaction<'_>,
    span: BatchSpan,
    first: i64,
    letter: &Letter,
    taken: &BTreeMap<String, i64>,
) -> Result<i64, StoreError> {
    let Some(sale) = &letter.sale else { return Ok(0) };
    let Some(row) = lock_sale(tx, sale).await? else { return Ok(0) };
    let uncount = tx.prepare_cached(include_str!("../../queries/return_dead_lettered.sql")).await?;
    tx.execute(&uncount, &[sale, &serde_json::json!(letter.units)]).await?;
    if row.get::<_, i32>(2) != span.partition {
        // Its releases are counted in another partition: only a rebuild can tell Redis.
        request_rebuild(tx, sale, Epoch(0)).await?;
        return Ok(0);
    }
    let mut back = ReleaseColumns::default();
    for (sku, units) in &letter.units {
        let units = units - taken.get(sku).copied().unwrap_or(0);
        if units > 0 {
            back.sale_id.push(sale);
            back.sku.push(sku);
            back.units.push(units);
            back.order_id.push(None);
        }
    }
    let used = back.units.len() as i64;
    if used > 0 {
        transaction::insert_releases(tx, span, first, &back).await?;
    }
    Ok(used)
}

async fn lock_sale(tx: &Transaction<'_>, sale: &str) -> Result<Option<Row>, StoreError> {
    let lock = tx.prepare_cached(include_str!("../../queries/lock_sale_of_dead_letter.sql")).await?;
    Ok(tx.query_opt(&lock, &[&sale]).await?)
}

/// Of a sale whose epoch is newer than this one.
async fn request_rebuild(tx: &Transaction<'_>, sale: &str, epoch: Epoch) -> Result<(), StoreError> {
    let request = include_str!("../../queries/request_rebuild_after_decision.sql");
    tx.execute(request, &[&sale, &(epoch.0 as i64)]).await?;
    Ok(())
}

async fn resolve(
    tx: &Transaction<'_>,
    span: BatchSpan,
    letter: &Letter,
    state: &str,
    resolution: &str,
    refusal: Option<Refusal>,
) -> Result<(), StoreError> {
    let update = tx.prepare_cached(include_str!("../../queries/resolve_dead_letter.sql")).await?;
    let (reason, detail) = match &refusal {
        Some(refusal) => (Some(refusal.reason), Some(refusal.detail.replace('\0', "\u{fffd}"))),
        None => (None, None),
    };
    let at = span.at.to_datetime();
    tx.execute(&update, &[&letter.id, &state, &resolution, &reason, &detail, &at]).await?;
    tracing::info!(dead_letter = letter.id, sale_id = letter.sale, state, resolution, "decided");
    Ok(())
}

/// What orders that are judged again find: stock, and what stands in their way.
struct Room {
    limit: Option<i32>,
    /// `None`: unlimited.
    available: HashMap<String, Option<i64>>,
    ids: HashSet<uuid::Uuid>,
    keys: HashSet<(String, String)>,
    sequences: HashSet<i64>,
    live: HashMap<String, i32>,
}

impl Room {
    async fn read(
        tx: &Transaction<'_>,
        batch: &AcceptedBatch,
        letter: &Letter,
        limit: Option<i32>,
    ) -> Result<Self, StoreError> {
        let sale = batch.sale_id.as_str();
        let mut available = HashMap::new();
        for row in tx.query(include_str!("../../queries/lock_items.sql"), &[&sale]).await? {
            let (sku, free): (String, Option<i64>) = (row.get(0), row.get(1));
            let own = letter.units.get(&sku).copied().unwrap_or(0);
            available.insert(sku, free.map(|free| free + own));
        }
        let customers: Vec<&str> = batch.orders.iter().map(|order| order.customer.as_str()).collect();
        let first = batch.first_sequence.0 as i64;
        let last = first + batch.orders.len() as i64 - 1;
        let mut room = Self {
            limit,
            available,
            ids: HashSet::new(),
            keys: HashSet::new(),
            sequences: HashSet::new(),
            live: HashMap::new(),
        };
        let rivals = include_str!("../../queries/select_rivals.sql");
        for row in tx.query(rivals, &[&sale, &customers, &first, &last]).await? {
            let customer: String = row.get(1);
            *room.live.entry(customer.clone()).or_default() += i32::from(row.get::<_, bool>(4));
            room.ids.insert(row.get(0));
            room.keys.insert((customer, row.get(2)));
            room.sequences.insert(row.get(3));
        }
        Ok(room)
    }

    fn knows(&self, sku: &str) -> bool {
        self.available.contains_key(sku)
    }

    /// Whether an order is taken; then its units are, too.
    fn takes(&mut self, order: &Order, sequence: Sequence) -> bool {
        let customer = order.customer.to_string();
        let key = (customer.clone(), order.key.as_str().to_string());
        let live = self.live.get(&customer).copied().unwrap_or(0);
        let stands_already = self.ids.contains(&order.id.0)
            || self.keys.contains(&key)
            || self.sequences.contains(&(sequence.0 as i64));
        let enough = order.lines.iter().all(|line| {
            let free = self.available.get(line.sku.as_str()).copied().flatten();
            free.is_none_or(|free| free >= i64::from(line.quantity))
        });
        if stands_already || self.limit.is_some_and(|limit| live >= limit) || !enough {
            return false;
        }
        for line in &order.lines {
            if let Some(Some(free)) = self.available.get_mut(line.sku.as_str()) {
                *free -= i64::from(line.quantity);
            }
        }
        self.ids.insert(order.id.0);
        self.keys.insert(key);
        self.live.insert(customer, live + 1);
        true
    }
}

impl Letter {
    fn from_row(id: i64, row: &Row) -> Result<Self, DatabaseError> {
        let Json(headers) = row.try_get::<_, Json<HashMap<String, Option<String>>>>(3)?;
        let Json(units) = row.try_get(5)?;
        let legible =
            headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?.as_bytes())));
        let decoded = Headers::decode(legible);
        let raw =
            RawRecord { key: row.get(1), value: row.get(2), headers: headers.clone().into_iter().collect() };
        Ok(Self {
            id,
            sale: row
                .get::<_, Option<&str>>(4)
                .and_then(|sale| SaleId::parse(sale).ok())
                .map(|s| s.to_string()),
            units,
            settled_epoch: row.get::<_, Option<i64>>(6).map(|epoch| Epoch(epoch as u64)),
            record: DecodedRecord::new(row.get(0), decoded, raw),
        })
    }
}

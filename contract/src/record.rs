//! The topic `orders`, the log: what a record is, in headers that every version understands and a
//! JSON value of its type and version.
//!
//! The headers of an acceptance tell epoch, sequences and units per SKU in a form that never changes,
//! so that a record whose value cannot be read still has its units accounted for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{CustomerId, Epoch, OrderId, SaleId, Sequence, Sku};
use crate::lifecycle::OrderStatus;
use crate::money::Currency;
use crate::order::{Order, PaymentRequest};
use crate::timestamp::Timestamp;

/// The version of record values that this code writes, and the only one it reads.
pub const VERSION: u32 = 1;
/// Orders in one accepted batch: what one script call may decide.
pub const BATCH_ORDERS_MAX: usize = 128;

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Orders that Redis took stock for.
    Accepted(AcceptedBatch),
    /// New totals, checked by the script against what is free.
    Totals(TotalsChange),
    /// The end of every lower epoch.
    Barrier(Barrier),
    /// What somebody wants done to an order.
    Command(Command),
    /// Time goes on: what is due happens.
    Tick(Tick),
    /// What an operator wants done with a dead letter.
    Decision(Decision),
}

/// The record types, by the name in the header `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RecordType {
    Accepted,
    Totals,
    Barrier,
    Command,
    Tick,
    Decision,
}

impl RecordType {
    const ALL: [Self; 6] =
        [Self::Accepted, Self::Totals, Self::Barrier, Self::Command, Self::Tick, Self::Decision];

    /// The name in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Totals => "totals",
            Self::Barrier => "barrier",
            Self::Command => "command",
            Self::Tick => "tick",
            Self::Decision => "decision",
        }
    }
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// One script call's acceptances: sequences `first_sequence`, `first_sequence + 1`, …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptedBatch {
    /// Of which sale.
    pub sale_id: SaleId,
    /// In which epoch; void when a higher barrier lies before it in the log.
    pub epoch: Epoch,
    /// Of the first order.
    pub first_sequence: Sequence,
    /// Redis TIME.
    pub accepted_at: Timestamp,
    /// In the order of their sequences, at least one.
    pub orders: Vec<Order>,
}

/// New absolute totals for some SKUs of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalsChange {
    /// Of which sale.
    pub sale_id: SaleId,
    /// In which epoch; void like an acceptance.
    pub epoch: Epoch,
    /// Applied once, however often it is recorded.
    pub change_id: Uuid,
    /// The new totals.
    pub items: Vec<NewTotal>,
}

/// A SKU's new total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTotal {
    /// Which.
    pub sku: Sku,
    /// Units in all, sold ones included.
    pub total: u64,
}

/// Acceptances and changes of lower epochs that follow it are void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// Of which sale.
    pub sale_id: SaleId,
    /// The epoch that begins.
    pub epoch: Epoch,
}

/// What somebody wants done to an order. It carries no epoch: whoever sends it knows the order's id, so
/// the order lies before it in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Of which sale.
    pub sale_id: SaleId,
    /// To which order.
    pub order_id: OrderId,
    /// Whose it is, as far as the sender knows: another customer's order is left alone. `None`: the system
    /// itself speaks, such as the payment side or an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// When it was asked for.
    pub at: Timestamp,
    /// What.
    pub action: Action,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Give the order up, as its customer.
    Cancel,
    /// Pay for it, as its customer.
    Pay(PaymentRequest),
    /// What became of a payment, as the payment side tells it.
    PaymentResult(PaymentResult),
    /// Return it and have the money back, as its customer.
    Refund,
    /// The money went back, as the payment side tells it.
    RefundResult(RefundResult),
    /// The goods have come so far, as an operator tells it.
    Deliver(DeliveryChange),
}

/// What became of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentResult {
    /// `payment.payment_id`.
    pub payment_id: Uuid,
    /// Whether the money was taken.
    pub result: PaymentOutcome,
    /// How much, in the minor unit.
    pub amount: u64,
    /// Of which currency.
    pub currency: Currency,
    /// Why it failed, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a payment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaymentOutcome {
    /// The money was taken.
    Succeeded,
    /// Nothing was taken.
    Failed,
}

/// The money of a payment went back, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundResult {
    /// `payment.payment_id`.
    pub payment_id: Uuid,
    /// How much, in the minor unit.
    pub amount: u64,
    /// Of which currency.
    pub currency: Currency,
}

/// How far the goods have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "DeliveryChange"))]
#[serde(deny_unknown_fields)]
pub struct DeliveryChange {
    /// The state that is reached, through those before it.
    pub status: OrderStatus,
}

impl Action {
    /// The name on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pay(_) => "pay",
            Self::PaymentResult(_) => "payment_result",
            Self::Refund => "refund",
            Self::RefundResult(_) => "refund_result",
            Self::Deliver(_) => "deliver",
        }
    }
}

/// Time goes on in a partition, for all its sales; it has no key. Appended by the owner when something is
/// due, with the owner's clock: what was due [`TICK_GRACE_MS`] before happens when it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The owner's time.
    pub at: Timestamp,
}

/// How long before a tick's time something must have been due, in milliseconds: a payment that was
/// acknowledged before the deadline lies before the tick, also where two clocks differ a little.
pub const TICK_GRACE_MS: u64 = 1000;

impl Tick {
    /// What was due before this happens.
    pub fn due_before(self) -> Timestamp {
        Timestamp(self.at.0.saturating_sub(TICK_GRACE_MS))
    }
}

/// What an operator wants done with a dead letter of this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// `dead_letter.id`.
    pub dead_letter_id: i64,
    /// What.
    pub verdict: Resolution,
}

/// What becomes of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Judge it again: perhaps it can be read or applied now.
    Replay,
    /// Give it up; its units come back.
    Discard,
}

/// A record's headers, as far as they were there and legible.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers {
    /// `type`.
    pub record_type: Option<String>,
    /// `version`.
    pub version: Option<u32>,
    /// `epoch`.
    pub epoch: Option<Epoch>,
    /// `sequences`, as `first+count`.
    pub sequences: Option<(Sequence, u64)>,
    /// `units`, as `sku=n,sku=n`.
    pub units: BTreeMap<Sku, u64>,
}

impl Headers {
    /// Of an acceptance.
    pub fn accepted(epoch: Epoch, first: Sequence, count: u64, units: BTreeMap<Sku, u64>) -> Self {
        let headers = Self::with_epoch(RecordType::Accepted, epoch);
        Self { sequences: Some((first, count)), units, ..headers }
    }
    /// Of a change of totals or a barrier.
    pub fn with_epoch(record_type: RecordType, epoch: Epoch) -> Self {
        Self { epoch: Some(epoch), ..Self::without_epoch(record_type) }
    }
    /// Of a record that no epoch makes void.
    pub fn without_epoch(record_type: RecordType) -> Self {
        Self { record_type: Some(record_type.as_str().into()), version: Some(VERSION), ..Self::default() }
    }
    /// As name and text.
    pub fn encode(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::with_capacity(5);
        all.extend(self.record_type.clone().map(|text| ("type", text)));
        all.extend(self.version.map(|n| ("version", n.to_string())));
        all.extend(self.epoch.map(|n| ("epoch", n.to_string())));
        all.extend(self.sequences.map(|(first, count)| ("sequences", format!("{first}+{count}"))));
        if !self.units.is_empty() {
            let units: Vec<_> = self.units.iter().map(|(sku, n)| format!("{sku}={n}")).collect();
            all.push(("units", units.join(",")));
        }
        all
    }
    /// From names and bytes; what is missing or illegible stays absent.
    pub fn decode<'a>(raw: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut headers = Self::default();
        for (name, value) in raw {
            let Ok(text) = std::str::from_utf8(value) else { continue };
            match name {
                "type" => headers.record_type = Some(text.into()),
                "version" => headers.version = text.parse().ok(),
                "epoch" => headers.epoch = text.parse().ok().map(Epoch),
                "sequences" => {
                    headers.sequences = text.split_once('+').and_then(|(first, count)| {
                        Some((Sequence(first.parse().ok()?), count.parse().ok()?))
                    });
                }
                "units" => {
                    headers.units = text
                        .split(',')
                        .filter_map(|pair| {
                            let (sku, n) = pair.split_once('=')?;
                            Some((Sku::parse(sku).ok()?, n.parse().ok()?))
                        })
                        .collect();
                }
                _ => {}
            }
        }
        headers
    }
}

/// Why a record cannot be applied: what `dead_letter.reason` begins with.
#[derive(Debug, thiserror::Error)]
pub enum UndecodableRecord {
    /// No `type`, or one that this version does not know.
    #[error("unknown record type {0:?}")]
    UnknownType(Option<String>),
    /// No `version`, or another one.
    #[error("unsupported record version {0:?}")]
    UnsupportedVersion(Option<u32>),
    /// The value is not what its type promises.
    #[error("malformed value: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The value contradicts itself or its headers.
    #[error("inconsistent value: {0}")]
    Inconsistent(&'static str),
}

impl UndecodableRecord {
    /// The short name for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownType(_) => "unknown_type",
            Self::UnsupportedVersion(_) => "unsupported_version",
            Self::Malformed(_) => "malformed",
            Self::Inconsistent(_) => "inconsistent",
        }
    }
}

/// Reads a record.
pub fn decode(headers: &Headers, value: &[u8]) -> Result<Record, UndecodableRecord> {
    let record_type = headers.record_type.as_deref().and_then(RecordType::parse);
    let record_type =
        record_type.ok_or_else(|| UndecodableRecord::UnknownType(headers.record_type.clone()))?;
    if headers.version != Some(VERSION) {
        return Err(UndecodableRecord::UnsupportedVersion(headers.version));
    }
    let (record, epoch) = match record_type {
        RecordType::Accepted => {
            let batch: AcceptedBatch = serde_json::from_slice(value)?;
            let sequences = Some((batch.first_sequence, batch.orders.len() as u64));
            if batch.orders.is_empty() || headers.sequences != sequences {
                return Err(UndecodableRecord::Inconsistent(
                    "the orders are not those of the header `sequences`",
                ));
            }
            if headers.units != units(&batch.orders) {
                return Err(UndecodableRecord::Inconsistent("the lines are not those of the header `units`"));
            }
            let epoch = batch.epoch;
            (Record::Accepted(batch), Some(epoch))
        }
        RecordType::Totals => {
            let change: TotalsChange = serde_json::from_slice(value)?;
            let epoch = change.epoch;
            (Record::Totals(change), Some(epoch))
        }
        RecordType::Barrier => {
            let barrier: Barrier = serde_json::from_slice(value)?;
            let epoch = barrier.epoch;
            (Record::Barrier(barrier), Some(epoch))
        }
        RecordType::Command => (Record::Command(serde_json::from_slice(value)?), None),
        RecordType::Tick => (Record::Tick(serde_json::from_slice(value)?), None),
        RecordType::Decision => (Record::Decision(serde_json::from_slice(value)?), None),
    };
    if headers.epoch != epoch {
        return Err(UndecodableRecord::Inconsistent("the epoch is not that of the header"));
    }
    Ok(record)
}

/// Units per SKU of some orders.
pub fn units<'a>(orders: impl IntoIterator<Item = &'a Order>) -> BTreeMap<Sku, u64> {
    let mut units = BTreeMap::new();
    for line in orders.into_iter().flat_map(|order| &order.lines) {
        match units.get_mut(&line.sku) {
            Some(sum) => *sum += u64::from(line.quantity),
            None => drop(units.insert(line.sku.clone(), u64::from(line.quantity))),
        }
    }
    units
}

/// The value of an acceptance around orders that are JSON already, joined by commas: the gateway and
/// the relay both have them in this form, and must write the same bytes.
pub fn encode_accepted(
    sale: &SaleId,
    epoch: Epoch,
    first: Sequence,
    at: Timestamp,
    orders: &[u8],
) -> Vec<u8> {
    let head = format!(
        r#"{{"sale_id":"{sale}","epoch":{epoch},"first_sequence":{first},"accepted_at":"{at}","orders":["#
    );
    [head.as_bytes(), orders, b"]}"].concat()
}

/// The id of an outbox entry, a Redis stream id. A batch's tells its sequences, so that an order is
/// looked for in the outbox by its sequence alone; a change of totals stands between batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId {
    /// The batch's first sequence, or the next one at the time of a change.
    pub first: Sequence,
    /// [`OutboxId::BATCH`] + the number of orders, or a small number for a change.
    pub low: u64,
}

impl OutboxId {
    /// Added to the number of orders: batches sort after changes of the same sequence.
    pub const BATCH: u64 = 1_000_000;

    /// Of a batch.
    pub fn batch(first: Sequence, orders: u64) -> Self {
        Self { first, low: Self::BATCH + orders }
    }
    /// How many orders the entry holds; 0 for a change.
    pub fn orders(&self) -> u64 {
        self.low.saturating_sub(Self::BATCH)
    }
    /// From `high-low`.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, low) = text.split_once('-')?;
        Some(Self { first: Sequence(first.parse().ok()?), low: low.parse().ok()? })
    }
}

impl std::fmt::Display for OutboxId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.low)
    }
}

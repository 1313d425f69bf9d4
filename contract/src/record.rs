//! The records of the topic `orders`, the log. A record has headers, which every version understands, and a
//! JSON value, whose format depends on its type and version.
//!
//! The headers of an accepted batch contain epoch, sequences and units per SKU in a format that never changes, so
//! that the units of a record are accounted for even if its value cannot be decoded.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{CustomerId, Epoch, OrderId, SaleId, Sequence, Sku};
use crate::lifecycle::OrderStatus;
use crate::money::Currency;
use crate::order::{Order, PaymentRequest};
use crate::timestamp::Timestamp;
use crate::wire;

/// The version of record values that this code writes, and the only one that it decodes.
pub const VERSION: u32 = 1;
/// The maximum number of orders in one accepted batch, and thus in one script call.
pub const BATCH_ORDERS_MAX: usize = 128;

/// A decoded record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Orders for which Redis reserved stock.
    Accepted(AcceptedBatch),
    /// New totals, which the script has checked against the available units.
    Totals(TotalsChange),
    /// Ends every lower epoch of a sale.
    Barrier(Barrier),
    /// A command for one order.
    Command(Command),
    /// A clock tick: applies every timer that is due.
    Tick(Tick),
    /// An operator's decision on a dead letter.
    Decision(Decision),
}

/// The type of a record: the header `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the variants are those of `Record`
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

    /// Returns the name in the header.
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

/// The orders that one script call accepted, with the sequences `first_sequence`, `first_sequence + 1`, …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptedBatch {
    /// The sale.
    pub sale_id: SaleId,
    /// The epoch. The batch is void if a barrier of a higher epoch precedes it in the log.
    pub epoch: Epoch,
    /// The sequence of the first order.
    pub first_sequence: Sequence,
    /// Redis TIME when the script accepted the orders.
    pub accepted_at: Timestamp,
    /// The orders by ascending sequence; at least one.
    pub orders: Vec<Order>,
}

/// A change that sets absolute totals for some SKUs of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalsChange {
    /// The sale.
    pub sale_id: SaleId,
    /// The epoch. The change is void under the same condition as an accepted batch.
    pub epoch: Epoch,
    /// The id of the change, which is applied once even if it is recorded several times.
    pub change_id: Uuid,
    /// The new totals.
    pub items: Vec<NewTotal>,
}

/// A SKU's new total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTotal {
    /// The SKU.
    pub sku: Sku,
    /// The total number of units, including sold ones.
    pub total: u64,
}

/// A barrier: accepted batches and changes of lower epochs that follow it in the log are void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// The sale.
    pub sale_id: SaleId,
    /// The epoch that begins with the barrier.
    pub epoch: Epoch,
}

/// A command for one order. It has no epoch: the sender knows the order's id, so the order precedes the
/// command in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The sale.
    pub sale_id: SaleId,
    /// The order.
    pub order_id: OrderId,
    /// The customer who sent the command. It has no effect on another customer's order. `None` if the system sent
    /// it, for example the payment service or an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// When the command was requested.
    pub at: Timestamp,
    /// What the command does.
    pub action: Action,
}

/// The action of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The customer cancels the order.
    Cancel,
    /// The customer pays the order.
    Pay(PaymentRequest),
    /// The payment service reports the outcome of the payment.
    PaymentResult(PaymentResult),
    /// The customer returns the order and requests a refund.
    Refund,
    /// The payment service reports the refund.
    RefundResult(RefundResult),
    /// An operator advances the delivery.
    Deliver(DeliveryChange),
}

/// The result of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentResult {
    /// `payment.payment_id`.
    pub payment_id: Uuid,
    /// Whether the money was captured.
    pub result: PaymentOutcome,
    /// The amount, in the minor unit.
    pub amount: u64,
    /// The currency of the amount.
    pub currency: Currency,
    /// The payment provider's reason for a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The outcome of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaymentOutcome {
    /// The money was captured.
    Succeeded,
    /// No money was captured.
    Failed,
}

/// The result of a refund, which is always for the whole amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundResult {
    /// `payment.payment_id`.
    pub payment_id: Uuid,
    /// The amount, in the minor unit.
    pub amount: u64,
    /// The currency of the amount.
    pub currency: Currency,
}

/// An operator's change of a delivery's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "DeliveryChange"))]
#[serde(deny_unknown_fields)]
pub struct DeliveryChange {
    /// The state to advance to, through all states before it.
    pub status: OrderStatus,
}

impl Action {
    /// Returns the name on the wire.
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

/// A clock tick for all sales of a partition; the record has no key. The partition's owner appends it, with the
/// time of its clock, when a timer is due. Applying it fires the timers that were due [`TICK_GRACE_MS`] before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The time of the owner's clock.
    pub at: Timestamp,
}

/// How long before a tick's time a timer must have been due, in milliseconds. The grace makes sure that a payment
/// that was acknowledged before the deadline precedes the tick in the log, even if two clocks differ slightly.
pub const TICK_GRACE_MS: u64 = 1000;

impl Tick {
    /// Returns the time before which timers must have been due to fire.
    pub fn due_before(self) -> Timestamp {
        Timestamp(self.at.0.saturating_sub(TICK_GRACE_MS))
    }
}

/// An operator's decision on a dead letter of this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// `dead_letter.id`.
    pub dead_letter_id: i64,
    /// What happens to the dead letter.
    pub verdict: Resolution,
}

/// How an operator resolves a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Processes it again; the current code may be able to decode or apply it.
    Replay,
    /// Discards it and returns its units to stock.
    Discard,
}

/// The headers of a record. A field is `None` (or empty) if its header is missing or invalid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers {
    /// The header `type`.
    pub record_type: Option<String>,
    /// The header `version`.
    pub version: Option<u32>,
    /// The header `epoch`.
    pub epoch: Option<Epoch>,
    /// The header `sequences`, encoded as `first+count`.
    pub sequences: Option<(Sequence, u64)>,
    /// The header `units`, encoded as `sku=n,sku=n`.
    pub units: BTreeMap<Sku, u64>,
}

impl Headers {
    /// Returns the headers of an accepted batch.
    pub fn accepted(epoch: Epoch, first: Sequence, count: u64, units: BTreeMap<Sku, u64>) -> Self {
        let headers = Self::with_epoch(RecordType::Accepted, epoch);
        Self { sequences: Some((first, count)), units, ..headers }
    }
    /// Returns the headers of a change of totals or a barrier.
    pub fn with_epoch(record_type: RecordType, epoch: Epoch) -> Self {
        Self { epoch: Some(epoch), ..Self::without_epoch(record_type) }
    }
    /// Returns the headers of a record that does not belong to an epoch.
    pub fn without_epoch(record_type: RecordType) -> Self {
        Self { record_type: Some(record_type.as_str().into()), version: Some(VERSION), ..Self::default() }
    }
    /// Encodes the headers as pairs of name and text.
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
    /// Decodes pairs of name and bytes. Missing and invalid headers are left out.
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

/// The reason why a record cannot be decoded: the beginning of `dead_letter.reason`.
#[derive(Debug, thiserror::Error)]
pub enum UndecodableRecord {
    /// The header `type` is missing or unknown to this version.
    #[error("unknown record type {0:?}")]
    UnknownType(Option<String>),
    /// The header `version` is missing or unsupported.
    #[error("unsupported record version {0:?}")]
    UnsupportedVersion(Option<u32>),
    /// The value does not match its type.
    #[error("malformed value: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The value contradicts itself or the headers.
    #[error("inconsistent value: {0}")]
    Inconsistent(&'static str),
}

impl UndecodableRecord {
    /// Returns a short name for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownType(_) => "unknown_type",
            Self::UnsupportedVersion(_) => "unsupported_version",
            Self::Malformed(_) => "malformed",
            Self::Inconsistent(_) => "inconsistent",
        }
    }
}

/// Decodes a record.
pub fn decode(headers: &Headers, value: &[u8]) -> Result<Record, UndecodableRecord> {
    let record_type = headers.record_type.as_deref().and_then(RecordType::parse);
    let record_type =
        record_type.ok_or_else(|| UndecodableRecord::UnknownType(headers.record_type.clone()))?;
    if headers.version != Some(VERSION) {
        return Err(UndecodableRecord::UnsupportedVersion(headers.version));
    }
    let (record, epoch) = match record_type {
        RecordType::Accepted => {
            let batch: AcceptedBatch = wire::decode(value)?;
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
            let change: TotalsChange = wire::decode(value)?;
            let epoch = change.epoch;
            (Record::Totals(change), Some(epoch))
        }
        RecordType::Barrier => {
            let barrier: Barrier = wire::decode(value)?;
            let epoch = barrier.epoch;
            (Record::Barrier(barrier), Some(epoch))
        }
        RecordType::Command => (Record::Command(wire::decode(value)?), None),
        RecordType::Tick => (Record::Tick(wire::decode(value)?), None),
        RecordType::Decision => (Record::Decision(wire::decode(value)?), None),
    };
    if headers.epoch != epoch {
        return Err(UndecodableRecord::Inconsistent("the epoch is not that of the header"));
    }
    Ok(record)
}

/// Returns the number of units per SKU of some orders.
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

/// Encodes the value of an accepted batch. `orders` are JSON already, joined by commas: the gateway and the relay
/// both have them in this form, and must write the same bytes.
pub fn encode_accepted(sale: &SaleId, epoch: Epoch, first: Sequence, at: Timestamp, orders: &[u8]) -> Bytes {
    let head = format!(
        r#"{{"sale_id":"{sale}","epoch":{epoch},"first_sequence":{first},"accepted_at":"{at}","orders":["#
    );
    [head.as_bytes(), orders, b"]}"].concat().into()
}

/// The id of an outbox entry, a Redis stream id. A batch's id contains its sequences, so that an order is found
/// in the outbox by its sequence alone. The ids of changes of totals lie between those of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId {
    /// The first sequence of the batch, or the next sequence at the time of a change.
    pub first: Sequence,
    /// [`OutboxId::BATCH`] plus the number of orders, or a small number for a change.
    pub low: u64,
}

impl OutboxId {
    /// The number that is added to the number of orders, so that a batch sorts after changes of the same sequence.
    pub const BATCH: u64 = 1_000_000;

    /// Returns the id of a batch.
    pub fn batch(first: Sequence, orders: u64) -> Self {
        Self { first, low: Self::BATCH + orders }
    }
    /// Returns the number of orders in the entry; 0 for a change.
    pub fn orders(&self) -> u64 {
        self.low.saturating_sub(Self::BATCH)
    }
    /// Parses an id of the form `first-low`.
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

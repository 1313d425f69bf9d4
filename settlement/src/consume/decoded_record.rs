//! Records of the log, decoded and validated on the consumer's thread.

use contract::ids::{OrderId, SaleId};
use contract::money::AMOUNT_MAX;
use contract::order::{LINES_MAX, Order};
use contract::record::{self, Headers, Record};
use contract::sale::{PRICE_MAX, QUANTITY_MAX};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _};

/// A record with its offset in the log.
#[derive(Debug)]
pub struct DecodedRecord {
    /// The offset of the record.
    pub offset: i64,
    /// The sale that the key names; `None` if the key is not a valid sale id.
    pub sale: Option<SaleId>,
    /// The headers that could be decoded.
    pub headers: Headers,
    /// The decoded record, or the reason why it cannot be applied.
    pub body: Result<Record, Refusal>,
    /// The original bytes, in case the record becomes a dead letter.
    pub raw: RawRecord,
}

/// The bytes of a record.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the parts of a Kafka message
pub struct RawRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<String>)>,
}

/// The reason why a record cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A short code, used as a metric label.
    pub reason: &'static str,
    /// An explanation for the operator.
    pub detail: String,
}

impl Refusal {
    /// Creates a refusal with its detail.
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl DecodedRecord {
    /// Decodes a message of the log.
    pub fn from_message(message: &BorrowedMessage<'_>) -> Self {
        let mut raw = RawRecord {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: Vec::new(),
        };
        let headers = match message.headers() {
            Some(all) => {
                let present = all.iter().filter_map(|header| Some((header.key, header.value?)));
                let headers = Headers::decode(present);
                raw.headers = all.iter().map(|header| text_header(header.key, header.value)).collect();
                headers
            }
            None => Headers::default(),
        };
        Self::new(message.offset(), headers, raw)
    }

    /// Decodes a record from its headers and bytes.
    pub fn new(offset: i64, headers: Headers, raw: RawRecord) -> Self {
        let key = raw.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let sale = key.and_then(|key| SaleId::parse(key).ok());
        let body = decode(&headers, sale.as_ref(), &raw);
        Self { offset, sale, headers, body, raw }
    }

    /// Returns the ids of the accepted orders, as far as the record can be decoded, also if it cannot be applied.
    pub fn order_ids(&self) -> Vec<OrderId> {
        match record::decode(&self.headers, self.raw.value.as_deref().unwrap_or_default()) {
            Ok(Record::Accepted(batch)) => batch.orders.iter().map(|order| order.id).collect(),
            _ => vec![],
        }
    }

    /// Returns the number of orders in the record, and 1 for a record of another type: the unit of batch sizes.
    pub fn orders(&self) -> usize {
        match &self.body {
            Ok(Record::Accepted(batch)) => batch.orders.len(),
            _ => 1,
        }
    }
}

/// Replaces what a `text` column of Postgres cannot store: invalid UTF-8 and NUL.
fn text_header(name: &str, value: Option<&[u8]>) -> (String, Option<String>) {
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    (clean(name), value.map(|value| clean(&String::from_utf8_lossy(value))))
}

fn decode(headers: &Headers, sale: Option<&SaleId>, raw: &RawRecord) -> Result<Record, Refusal> {
    let value = raw.value.as_deref().unwrap_or_default();
    let decoded = record::decode(headers, value);
    let decoded = decoded.map_err(|error| Refusal::new(error.reason(), error.to_string()))?;
    let named = match &decoded {
        Record::Accepted(batch) => Some(&batch.sale_id),
        Record::Totals(change) => Some(&change.sale_id),
        Record::Barrier(barrier) => Some(&barrier.sale_id),
        Record::Command(command) => Some(&command.sale_id),
        Record::Tick(_) | Record::Decision(_) => None, // these belong to the partition, not to a sale
    };
    if named.is_some_and(|named| sale != Some(named)) {
        return Err(inconsistent("the key is not the sale id"));
    }
    match &decoded {
        Record::Accepted(batch) => {
            let last = batch.first_sequence.0.saturating_add(batch.orders.len() as u64);
            if batch.first_sequence.0 == 0 || i64::try_from(last).is_err() {
                return Err(inconsistent("a sequence is out of bounds"));
            }
            batch.orders.iter().try_for_each(check_bounds)?;
        }
        Record::Totals(change) => {
            if change.items.is_empty() || change.items.iter().any(|item| item.total > AMOUNT_MAX) {
                return Err(inconsistent("a total is out of bounds"));
            }
        }
        Record::Barrier(_) | Record::Command(_) | Record::Tick(_) | Record::Decision(_) => {}
    }
    if headers.epoch.is_some_and(|epoch| i64::try_from(epoch.0).is_err()) {
        return Err(inconsistent("the epoch is out of bounds"));
    }
    Ok(decoded)
}

fn inconsistent(detail: &str) -> Refusal {
    Refusal::new("inconsistent", detail)
}

/// Checks the bounds that the gateway enforces: beyond them, sums and columns would overflow.
fn check_bounds(order: &Order) -> Result<(), Refusal> {
    let lines_are_valid = (1..=LINES_MAX).contains(&order.lines.len())
        && order
            .lines
            .iter()
            .all(|line| (1..=QUANTITY_MAX).contains(&line.quantity) && line.unit_price <= PRICE_MAX);
    if !lines_are_valid {
        return Err(inconsistent("a line is out of bounds"));
    }
    let amounts = order.amounts(); // at most LINES_MAX * QUANTITY_MAX * PRICE_MAX < 2^64
    if amounts.subtotal > AMOUNT_MAX
        || amounts.discount > amounts.subtotal
        || amounts.delivery_fee > AMOUNT_MAX
        || order.hold_seconds > i32::MAX as u32
    {
        return Err(inconsistent("an amount is out of bounds"));
    }
    Ok(())
}

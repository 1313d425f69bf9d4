//! Records on their way from the consumer's thread to the settle loop, read as far as they can be.

use contract::ids::SaleId;
use contract::money::AMOUNT_MAX;
use contract::order::{LINES_MAX, Order};
use contract::record::{self, Headers, Record};
use contract::sale::{PRICE_MAX, QUANTITY_MAX};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _};

/// A record at its place in the log.
#[derive(Debug)]
pub struct DecodedRecord {
    /// Its offset.
    pub offset: i64,
    /// Its key; `None` where it names no sale.
    pub sale: Option<SaleId>,
    /// Its headers, as far as they are legible.
    pub headers: Headers,
    /// What it says, or why it cannot be applied.
    pub body: Result<Record, Refusal>,
    /// As it was, in case it becomes a dead letter.
    pub raw: RawRecord,
}

/// A record's bytes.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the names say it
pub struct RawRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<String>)>,
}

/// Why a record cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A short name, for metrics.
    pub reason: &'static str,
    /// For an operator.
    pub detail: String,
}

impl Refusal {
    /// With its detail.
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl DecodedRecord {
    /// Reads a message of the log.
    pub fn read(message: &BorrowedMessage<'_>) -> Self {
        let mut raw = RawRecord {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: Vec::new(),
        };
        let headers = match message.headers() {
            Some(all) => {
                let legible = all.iter().filter_map(|header| Some((header.key, header.value?)));
                let headers = Headers::decode(legible);
                raw.headers = all.iter().map(|header| text_header(header.key, header.value)).collect();
                headers
            }
            None => Headers::default(),
        };
        Self::new(message.offset(), headers, raw)
    }

    /// From its parts.
    pub fn new(offset: i64, headers: Headers, raw: RawRecord) -> Self {
        let key = raw.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        let sale = key.and_then(|key| SaleId::parse(key).ok());
        let body = decode(&headers, sale.as_ref(), &raw);
        Self { offset, sale, headers, body, raw }
    }

    /// How much work it is: its orders, at least one.
    pub fn orders(&self) -> usize {
        match &self.body {
            Ok(Record::Accepted(batch)) => batch.orders.len(),
            _ => 1,
        }
    }
}

/// Postgres takes neither invalid UTF-8 nor NUL in a text.
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
        Record::Tick(_) | Record::Decision(_) => None, // of the partition, not of a sale
    };
    if named.is_some_and(|named| sale != Some(named)) {
        return Err(inconsistent("the key is not the sale's name"));
    }
    match &decoded {
        Record::Accepted(batch) => {
            let last = batch.first_sequence.0.saturating_add(batch.orders.len() as u64);
            if batch.first_sequence.0 == 0 || i64::try_from(last).is_err() {
                return Err(inconsistent("a sequence is out of its bounds"));
            }
            batch.orders.iter().try_for_each(check)?;
        }
        Record::Totals(change) => {
            if change.items.is_empty() || change.items.iter().any(|item| item.total > AMOUNT_MAX) {
                return Err(inconsistent("a total is out of its bounds"));
            }
        }
        Record::Barrier(_) | Record::Command(_) | Record::Tick(_) | Record::Decision(_) => {}
    }
    if headers.epoch.is_some_and(|epoch| i64::try_from(epoch.0).is_err()) {
        return Err(inconsistent("the epoch is out of its bounds"));
    }
    Ok(decoded)
}

fn inconsistent(detail: &str) -> Refusal {
    Refusal::new("inconsistent", detail)
}

/// The bounds that the gateway kept to: beyond them, sums and columns would overflow.
fn check(order: &Order) -> Result<(), Refusal> {
    let lines_fit = (1..=LINES_MAX).contains(&order.lines.len())
        && order
            .lines
            .iter()
            .all(|line| (1..=QUANTITY_MAX).contains(&line.quantity) && line.unit_price <= PRICE_MAX);
    if !lines_fit {
        return Err(inconsistent("a line is out of its bounds"));
    }
    let amounts = order.amounts(); // at most LINES_MAX * QUANTITY_MAX * PRICE_MAX < 2^64
    if amounts.subtotal > AMOUNT_MAX
        || amounts.discount > amounts.subtotal
        || amounts.delivery_fee > AMOUNT_MAX
        || order.hold_seconds > i32::MAX as u32
    {
        return Err(inconsistent("an amount is out of its bounds"));
    }
    Ok(())
}

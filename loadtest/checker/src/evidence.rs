//! The evidence of a check at one moment: the clients' journal, and the contents of Postgres, Redis and the
//! log. Plain data, so that every invariant can be tested with a planted violation.

use std::collections::BTreeMap;

use contract::ids::{CustomerId, Epoch, IdempotencyKey, OrderId, RequestDigest, SaleId, Sequence, Sku};
use contract::order::Amounts;
use contract::record::{Headers, Record};
use invariants::position::EventSequences;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::ledger::LedgerEntry;
use customers::journal::Entry;

/// What the caller of a check knows about the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expectations {
    /// The journals contain every request that was ever sent to the sale.
    pub journal_complete: bool,
    /// Demand exceeded supply for every limited item.
    pub sold_out: bool,
}

/// The evidence about one sale.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What the caller knows.
    pub expectations: Expectations,
    /// What still changed stock or orders when the wait ended; empty when the sale was quiescent.
    pub pending: Vec<String>,
    /// The number of events that were not published when the wait ended.
    pub unpublished: u64,
    /// The rows in Postgres.
    pub stored: Stored,
    /// The card provider's own ledger; `None` when the provider was not queried.
    pub ledger: Option<Vec<LedgerEntry>>,
    /// The state in Redis in the sale's epoch; `None` unless the sale is ready.
    pub redis: Option<RedisState>,
    /// The sale's records in `orders` below the position.
    pub log: Vec<LogRecord>,
    /// The end offset of the partition when the wait ended, and when Postgres was read.
    pub log_end: std::ops::RangeInclusive<i64>,
    /// The sale's messages in `order-events`, partition by partition.
    pub published: Vec<PublishedEvent>,
    /// The sale's messages in `inventory-events`.
    pub movements: Vec<PublishedMovement>,
    /// The clients' journal.
    pub journal: Vec<Entry>,
}

/// The rows of a sale in Postgres.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The row of `sale`.
    pub sale: SaleRow,
    /// The rows of `sale_item`.
    pub items: Vec<ItemRow>,
    /// The rows of `customer_order` with their lines.
    pub orders: Vec<OrderRow>,
    /// The rows of `order_event`, by `seq`.
    pub events: Vec<EventRow>,
    /// The rows of `stock_release`, by `seq`.
    pub releases: Vec<ReleaseRow>,
    /// The ids in `stock_change`.
    pub changes: Vec<Uuid>,
    /// The rows of `dead_letter` in the sale's partition.
    pub dead_letters: Vec<DeadLetterRow>,
    /// The row of `log_position` and the event sequences of the partition.
    pub position: Position,
    /// The rows of `payment`.
    pub payments: Vec<PaymentRow>,
    /// The rows of `wallet_entry` for the sale's orders.
    pub wallet_entries: Vec<WalletEntryRow>,
    /// The wallets of the sale's customers.
    pub wallets: Vec<WalletRow>,
}

/// A row of `sale`.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct SaleRow {
    pub sale_id: SaleId,
    pub partition: i32,
    pub state: String,
    pub epoch: Epoch,
    pub settled_epoch: Epoch,
    pub ready: bool,
    pub max_orders_per_customer: Option<u32>,
}

/// A row of `sale_item`.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct ItemRow {
    pub sku: Sku,
    pub total: Option<u64>,
    pub held: u64,
    pub sold: u64,
    pub dead_lettered: u64,
}

/// A row of `customer_order` with its lines.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct OrderRow {
    pub id: OrderId,
    pub customer: CustomerId,
    pub key: IdempotencyKey,
    pub digest: RequestDigest,
    pub status: String,
    pub cancel_reason: Option<String>,
    pub sequence: Sequence,
    pub epoch: Epoch,
    pub amounts: Amounts,
    pub total: u64,
    pub lines: Vec<(Sku, u64)>,
}

impl OrderRow {
    /// Returns whether the order is not cancelled.
    pub fn is_live(&self) -> bool {
        self.status != "cancelled"
    }
}

/// A row of `payment`.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct PaymentRow {
    pub order_id: OrderId,
    pub method: String,
    pub status: String,
    pub amount: u64,
    pub currency: String,
}

/// A row of `wallet_entry`.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct WalletEntryRow {
    pub order_id: OrderId,
    pub customer: String,
    pub amount: i64,
}

/// A row of `wallet`, with the sum of its entries.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct WalletRow {
    pub customer: String,
    pub currency: String,
    pub balance: i64,
    pub entries: i64,
}

/// A row of `order_event`.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct EventRow {
    pub seq: i64,
    pub order_id: OrderId,
    pub status: String,
}

/// A row of `stock_release`.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct ReleaseRow {
    pub seq: i64,
    pub sku: Option<Sku>,
    pub units: u64,
    pub change_id: Option<Uuid>,
    pub order_id: Option<OrderId>,
}

/// A row of `dead_letter`.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named after the columns
pub struct DeadLetterRow {
    pub offset: i64,
    pub undecided: bool,
    pub replayed: bool,
    pub sale_id: Option<String>,
    pub reason: String,
    pub units: BTreeMap<String, u64>,
}

/// The settled position of the partition.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    /// The offset of the first record that is not settled.
    pub next_offset: i64,
    /// The event sequences of the partition.
    pub events: EventSequences,
}

/// The state of the sale in Redis.
#[derive(Debug, Clone, Default)]
pub struct RedisState {
    /// The units by SKU; `None` when unlimited.
    pub available: BTreeMap<String, Option<u64>>,
    /// The totals by SKU.
    pub totals: BTreeMap<String, u64>,
    /// The announced units that are not yet in `available`, by SKU.
    pub returning: BTreeMap<String, u64>,
    /// The next sequence.
    pub next: u64,
    /// The release watermark.
    pub released: i64,
    /// A change of totals that is not settled.
    pub change: Option<String>,
    /// The number of entries in the outbox.
    pub outbox: u64,
}

/// A record of the log.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// The offset of the record.
    pub offset: i64,
    /// The headers of the record.
    pub headers: Headers,
    /// The decoded record, or why it cannot be decoded.
    pub record: Result<Record, String>,
}

/// A message of `order-events`.
#[derive(Debug, Clone)]
pub struct PublishedEvent {
    /// The key of the message.
    pub key: String,
    /// The attribute `id`: `partition-seq`.
    pub id: String,
    /// The status in the data.
    pub status: String,
}

/// A message of `inventory-events`.
#[derive(Debug, Clone)]
pub struct PublishedMovement {
    /// The attribute `id`: `partition-seq-sku`.
    pub id: String,
    /// The attribute `type`.
    pub movement: String,
    /// The order in the data.
    pub order_id: Option<OrderId>,
    /// The SKU in the data.
    pub sku: String,
    /// The quantity in the data.
    pub quantity: u64,
}

impl Evidence {
    /// Returns the orders by id.
    pub fn orders_by_id(&self) -> FxHashMap<OrderId, &OrderRow> {
        self.stored.orders.iter().map(|order| (order.id, order)).collect()
    }

    /// Returns the orders by customer and key.
    pub fn orders_by_request(&self) -> FxHashMap<(&str, &str), &OrderRow> {
        self.stored
            .orders
            .iter()
            .map(|order| ((order.customer.as_str(), order.key.as_str()), order))
            .collect()
    }

    /// Returns the journal entries by customer and key; those of one request are in the order of sending.
    pub fn requests(&self) -> FxHashMap<(&str, &str), Vec<&Entry>> {
        let mut requests: FxHashMap<(&str, &str), Vec<&Entry>> = FxHashMap::default();
        for entry in &self.journal {
            if let Some(key) = &entry.key {
                requests.entry((&entry.customer, key)).or_default().push(entry);
            }
        }
        requests.values_mut().for_each(|entries| entries.sort_by_key(|entry| entry.sent_us));
        requests
    }

    /// Returns whether units of an item were released during the sale.
    pub fn came_back(&self, sku: &str) -> bool {
        self.stored
            .releases
            .iter()
            .any(|r| r.units > 0 && r.sku.as_ref().is_none_or(|found| found.as_str() == sku))
    }
}

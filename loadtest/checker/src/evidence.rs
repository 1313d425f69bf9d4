//! All that a check looks at, as it was at one moment: what clients were told, and what Postgres,
//! Redis and the log hold. Plain data, so that every invariant can be tested with a planted violation.

use std::collections::BTreeMap;

use contract::ids::{CustomerId, Epoch, IdempotencyKey, OrderId, RequestDigest, SaleId, Sequence, Sku};
use contract::order::Amounts;
use contract::record::{Headers, Record};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::ledger::LedgerEntry;
use customers::journal::Entry;

/// What the caller of a check knows about the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expectations {
    /// The journals hold every request that was ever sent to the sale.
    pub journal_complete: bool,
    /// More was asked for than there was, of every limited item.
    pub sold_out: bool,
}

/// Everything known about one sale.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What the caller knows.
    pub expectations: Expectations,
    /// What moved stock or orders when the wait for rest ended; empty: at rest.
    pub unrest: Vec<String>,
    /// Events that were not published when the wait ended.
    pub untold: u64,
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
    /// The row of `log_position` and the sequence of events that it counts.
    pub position: Position,
    /// The rows of `payment`.
    pub payments: Vec<PaymentRow>,
    /// What moved in wallets for the sale's orders.
    pub wallet_entries: Vec<WalletEntryRow>,
    /// The wallets of the sale's customers.
    pub wallets: Vec<WalletRow>,
    /// The card provider's own books; `None`: nobody asked it.
    pub ledger: Option<Vec<LedgerEntry>>,
    /// Redis, in the sale's epoch; `None` unless the sale is ready.
    pub redis: Option<RedisState>,
    /// The sale's records in `orders`, below the position.
    pub log: Vec<LogRecord>,
    /// The end of the partition when the wait for rest ended, and when Postgres was read.
    pub log_end: std::ops::RangeInclusive<i64>,
    /// The sale's messages in `order-events`, partition by partition.
    pub published: Vec<PublishedEvent>,
    /// The sale's messages in `inventory-events`.
    pub movements: Vec<PublishedMovement>,
    /// What clients were told.
    pub journal: Vec<Entry>,
}

/// The sale.
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

/// An item.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ItemRow {
    pub sku: Sku,
    pub total: Option<u64>,
    pub held: u64,
    pub sold: u64,
    pub dead_lettered: u64,
}

/// An order.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
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
    /// Not cancelled.
    pub fn is_live(&self) -> bool {
        self.status != "cancelled"
    }
}

/// The money of an order.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct PaymentRow {
    pub order_id: OrderId,
    pub method: String,
    pub status: String,
    pub amount: u64,
    pub currency: String,
}

/// Money that moved in a wallet for an order.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct WalletEntryRow {
    pub order_id: OrderId,
    pub customer: String,
    pub amount: i64,
}

/// A wallet, and the sum of all its entries.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct WalletRow {
    pub customer: String,
    pub currency: String,
    pub balance: i64,
    pub entries: i64,
}

/// An event.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct EventRow {
    pub seq: i64,
    pub order_id: OrderId,
    pub status: String,
}

/// Units on their way back.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ReleaseRow {
    pub seq: i64,
    pub sku: Option<Sku>,
    pub units: u64,
    pub change_id: Option<Uuid>,
    pub order_id: Option<OrderId>,
}

/// A record that could not be applied.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct DeadLetterRow {
    pub offset: i64,
    pub undecided: bool,
    pub replayed: bool,
    pub sale_id: Option<String>,
    pub reason: String,
    pub units: BTreeMap<String, u64>,
}

/// How far the partition is settled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    /// Of the first record that is not settled.
    pub next_offset: i64,
    /// Of the next event.
    pub next_seq: i64,
    /// Event sequences in the partition: rows, different ones, and the highest.
    pub seq_rows: i64,
    /// See `seq_rows`.
    pub seq_distinct: i64,
    /// See `seq_rows`.
    pub seq_max: i64,
}

/// The sale in Redis.
#[derive(Debug, Clone, Default)]
pub struct RedisState {
    /// SKU to units, `None` where unlimited.
    pub available: BTreeMap<String, Option<u64>>,
    /// SKU to total.
    pub totals: BTreeMap<String, u64>,
    /// SKU to units announced and not yet in `available`.
    pub returning: BTreeMap<String, u64>,
    /// The next sequence.
    pub next: u64,
    /// The release watermark.
    pub released: i64,
    /// A change of totals that is not settled.
    pub change: Option<String>,
    /// Entries in the outbox.
    pub outbox: u64,
}

/// A record of the log.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// Its place.
    pub offset: i64,
    /// Its headers.
    pub headers: Headers,
    /// What it says, or why that cannot be told.
    pub record: Result<Record, String>,
}

/// A message of `order-events`.
#[derive(Debug, Clone)]
pub struct PublishedEvent {
    /// The message's key.
    pub key: String,
    /// The attribute `id`: `partition-seq`.
    pub id: String,
    /// The data's status.
    pub status: String,
}

/// A message of `inventory-events`.
#[derive(Debug, Clone)]
pub struct PublishedMovement {
    /// The attribute `id`: `partition-seq-sku`.
    pub id: String,
    /// The attribute `type`.
    pub movement: String,
    /// The data.
    pub order_id: Option<OrderId>,
    /// The data.
    pub sku: String,
    /// The data.
    pub quantity: u64,
}

impl Evidence {
    /// Orders by their ids.
    pub fn orders_by_id(&self) -> FxHashMap<OrderId, &OrderRow> {
        self.orders.iter().map(|order| (order.id, order)).collect()
    }
    /// Orders by customer and key.
    pub fn orders_by_request(&self) -> FxHashMap<(&str, &str), &OrderRow> {
        self.orders.iter().map(|order| ((order.customer.as_str(), order.key.as_str()), order)).collect()
    }
    /// The journal's answers by customer and key, those of one request together in the order of sending.
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
    /// Whether units of an item came back during the sale.
    pub fn came_back(&self, sku: &str) -> bool {
        self.releases.iter().any(|r| r.units > 0 && r.sku.as_ref().is_none_or(|found| found.as_str() == sku))
    }
}

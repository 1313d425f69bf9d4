//! Evidence from Postgres: one read-only snapshot.

use std::collections::BTreeMap;

use anyhow::Context;
use contract::ids::{CustomerId, Epoch, IdempotencyKey, OrderId, RequestDigest, SaleId, Sequence, Sku};
use contract::order::Amounts;
use contract::topics;
use invariants::position::EventSequences;
use rustc_hash::FxHashMap;
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};
use uuid::Uuid;

use super::evidence::{
    DeadLetterRow, EventRow, ItemRow, OrderRow, PaymentRow, Position, ReleaseRow, SaleRow, Stored,
    WalletEntryRow, WalletRow,
};

const SALE: &str = "SELECT partition, state, epoch, settled_epoch, ready, max_orders_per_customer \
                    FROM sale WHERE sale_id = $1";
const ITEMS: &str =
    "SELECT sku, total, held, sold, dead_lettered FROM sale_item WHERE sale_id = $1 ORDER BY position";
const ORDERS: &str = "SELECT order_id, customer_id, idempotency_key, request_digest, status, sequence, epoch, \
                      subtotal, discount, delivery_fee, total, cancel_reason FROM customer_order WHERE sale_id = $1 ORDER BY sequence";
const LINES: &str = "SELECT l.order_id, l.sku, l.quantity FROM order_line l JOIN customer_order o USING (order_id) \
                     WHERE o.sale_id = $1 ORDER BY l.order_id, l.line";
const EVENTS: &str = "SELECT e.seq, e.order_id, e.status FROM order_event e JOIN customer_order o USING (order_id) \
                      WHERE o.sale_id = $1 ORDER BY e.seq";
const RELEASES: &str =
    "SELECT seq, sku, units, change_id, order_id FROM stock_release WHERE sale_id = $1 ORDER BY seq";
const CHANGES: &str = "SELECT change_id FROM stock_change WHERE sale_id = $1";
const DEAD_LETTERS: &str = "SELECT log_offset, state = 'undecided', sale_id, reason, units, state = 'replayed' FROM dead_letter \
                            WHERE topic = $1 AND partition = $2 ORDER BY log_offset";
const POSITION: &str = "SELECT next_offset, next_seq FROM log_position WHERE topic = $1 AND partition = $2";
const SEQUENCES: &str = "SELECT count(*), count(DISTINCT seq), coalesce(max(seq), 0) FROM \
                         (SELECT seq FROM order_event WHERE partition = $1 \
                          UNION ALL SELECT seq FROM stock_release WHERE partition = $1) AS sequences";
const PAYMENTS: &str = "SELECT order_id, method, status, amount, currency FROM payment WHERE sale_id = $1";
const WALLET_ENTRIES: &str = "SELECT e.order_id, e.customer_id, e.amount FROM wallet_entry e \
                              JOIN customer_order o USING (order_id) WHERE o.sale_id = $1 ORDER BY e.entry_id";
const WALLETS: &str = "SELECT w.customer_id, w.currency, w.balance, coalesce((SELECT sum(e.amount)::bigint \
                           FROM wallet_entry e WHERE e.customer_id = w.customer_id AND e.currency = w.currency), 0) \
                       FROM wallet w \
                       WHERE w.customer_id IN (SELECT customer_id FROM customer_order WHERE sale_id = $1)";

/// Connects to Postgres; a task drives the connection until the client is dropped.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.context("connecting to Postgres")?;
    tokio::spawn(connection);
    Ok(client)
}

/// Returns the current sequence of the partition's next event.
pub async fn next_seq(client: &Client, partition: i32) -> anyhow::Result<i64> {
    let query = "SELECT next_seq FROM log_position WHERE topic = $1 AND partition = $2";
    let row = client.query_opt(query, &[&contract::topics::ORDERS.name, &partition]).await?;
    Ok(row.map_or(Ok(1), |row| row.try_get(0))?)
}

/// Reads all rows of a sale in one snapshot.
pub async fn read(client: &mut Client, sale_id: &SaleId) -> anyhow::Result<Stored> {
    let snapshot = client
        .build_transaction()
        .read_only(true)
        .isolation_level(IsolationLevel::RepeatableRead)
        .start()
        .await?;
    let sale = read_sale(&snapshot, sale_id).await?;
    let by_sale = |query: &'static str| {
        let snapshot = &snapshot;
        async move { snapshot.query(query, &[&sale_id.as_str()]).await.context(query) }
    };
    let items = by_sale(ITEMS).await?.iter().map(item).collect::<anyhow::Result<_>>()?;
    let mut lines: FxHashMap<Uuid, Vec<(Sku, u64)>> = FxHashMap::default();
    for row in by_sale(LINES).await? {
        let quantity: i32 = row.try_get(2)?;
        let line = (Sku::parse(row.try_get(1)?)?, u64::from(quantity.unsigned_abs()));
        lines.entry(row.try_get(0)?).or_default().push(line);
    }
    let orders =
        by_sale(ORDERS).await?.iter().map(|row| order(row, &mut lines)).collect::<anyhow::Result<_>>()?;
    let mut events = Vec::new();
    for row in by_sale(EVENTS).await? {
        events.push(EventRow {
            seq: row.try_get(0)?,
            order_id: OrderId(row.try_get(1)?),
            status: row.try_get(2)?,
        });
    }
    let releases = by_sale(RELEASES).await?.iter().map(release).collect::<anyhow::Result<_>>()?;
    let changes = by_sale(CHANGES).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let dead_letters = snapshot.query(DEAD_LETTERS, &[&topics::ORDERS.name, &sale.partition]).await?;
    let dead_letters = dead_letters.iter().map(dead_letter).collect::<anyhow::Result<_>>()?;
    let position = read_position(&snapshot, sale.partition).await?;
    let payments = by_sale(PAYMENTS).await?.iter().map(payment).collect::<anyhow::Result<_>>()?;
    let wallet_entries =
        by_sale(WALLET_ENTRIES).await?.iter().map(wallet_entry).collect::<anyhow::Result<_>>()?;
    let wallets = by_sale(WALLETS).await?.iter().map(wallet).collect::<anyhow::Result<_>>()?;
    Ok(Stored {
        sale,
        items,
        orders,
        events,
        releases,
        changes,
        dead_letters,
        position,
        payments,
        wallet_entries,
        wallets,
    })
}

async fn read_sale(snapshot: &Transaction<'_>, sale_id: &SaleId) -> anyhow::Result<SaleRow> {
    let row = snapshot.query_opt(SALE, &[&sale_id.as_str()]).await?;
    let row = row.with_context(|| format!("there is no sale {sale_id} in Postgres"))?;
    let limit: Option<i32> = row.try_get(5)?;
    Ok(SaleRow {
        sale_id: sale_id.clone(),
        partition: row.try_get(0)?,
        state: row.try_get(1)?,
        epoch: Epoch(unsigned(&row, 2)?),
        settled_epoch: Epoch(unsigned(&row, 3)?),
        ready: row.try_get(4)?,
        max_orders_per_customer: limit.map(i32::unsigned_abs),
    })
}

/// Reads the position; a partition that was never settled is at its beginning.
async fn read_position(snapshot: &Transaction<'_>, partition: i32) -> anyhow::Result<Position> {
    let position = snapshot.query_opt(POSITION, &[&topics::ORDERS.name, &partition]).await?;
    let (next_offset, next) = match position {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (0, 1),
    };
    let row = snapshot.query_one(SEQUENCES, &[&partition]).await?;
    let (rows, distinct, max) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(Position { next_offset, events: EventSequences { next, max, rows, distinct } })
}

fn unsigned(row: &Row, column: usize) -> anyhow::Result<u64> {
    Ok(u64::try_from(row.try_get::<_, i64>(column)?)?)
}

fn item(row: &Row) -> anyhow::Result<ItemRow> {
    let total: Option<i64> = row.try_get(1)?;
    Ok(ItemRow {
        sku: Sku::parse(row.try_get(0)?)?,
        total: total.map(u64::try_from).transpose()?,
        held: unsigned(row, 2)?,
        sold: unsigned(row, 3)?,
        dead_lettered: unsigned(row, 4)?,
    })
}

fn order(row: &Row, lines: &mut FxHashMap<Uuid, Vec<(Sku, u64)>>) -> anyhow::Result<OrderRow> {
    let id: Uuid = row.try_get(0)?;
    let digest: &[u8] = row.try_get(3)?;
    Ok(OrderRow {
        id: OrderId(id),
        customer: CustomerId::parse(row.try_get(1)?)?,
        key: IdempotencyKey::parse(row.try_get(2)?)?,
        digest: RequestDigest(digest.try_into().context("a request digest has eight bytes")?),
        status: row.try_get(4)?,
        cancel_reason: row.try_get(11)?,
        sequence: Sequence(unsigned(row, 5)?),
        epoch: Epoch(unsigned(row, 6)?),
        amounts: Amounts {
            subtotal: unsigned(row, 7)?,
            discount: unsigned(row, 8)?,
            delivery_fee: unsigned(row, 9)?,
        },
        total: unsigned(row, 10)?,
        lines: lines.remove(&id).unwrap_or_default(),
    })
}

fn release(row: &Row) -> anyhow::Result<ReleaseRow> {
    let sku: Option<&str> = row.try_get(1)?;
    Ok(ReleaseRow {
        seq: row.try_get(0)?,
        sku: sku.map(Sku::parse).transpose()?,
        units: unsigned(row, 2)?,
        change_id: row.try_get(3)?,
        order_id: row.try_get::<_, Option<Uuid>>(4)?.map(OrderId),
    })
}

fn payment(row: &Row) -> anyhow::Result<PaymentRow> {
    Ok(PaymentRow {
        order_id: OrderId(row.try_get(0)?),
        method: row.try_get(1)?,
        status: row.try_get(2)?,
        amount: unsigned(row, 3)?,
        currency: row.try_get(4)?,
    })
}

fn wallet_entry(row: &Row) -> anyhow::Result<WalletEntryRow> {
    let (order_id, customer) = (OrderId(row.try_get(0)?), row.try_get(1)?);
    Ok(WalletEntryRow { order_id, customer, amount: row.try_get(2)? })
}

fn wallet(row: &Row) -> anyhow::Result<WalletRow> {
    Ok(WalletRow {
        customer: row.try_get(0)?,
        currency: row.try_get(1)?,
        balance: row.try_get(2)?,
        entries: row.try_get(3)?,
    })
}

fn dead_letter(row: &Row) -> anyhow::Result<DeadLetterRow> {
    let units: serde_json::Value = row.try_get(4)?;
    Ok(DeadLetterRow {
        offset: row.try_get(0)?,
        undecided: row.try_get(1)?,
        replayed: row.try_get(5)?,
        sale_id: row.try_get(2)?,
        reason: row.try_get(3)?,
        units: serde_json::from_value::<BTreeMap<String, u64>>(units).context("units of a dead letter")?,
    })
}

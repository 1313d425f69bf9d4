//! The snapshot of a sale in Postgres, written into the keys of a new epoch.
//!
//! Orders are streamed: neither the orders nor the buyers are ever completely in memory, only eight bytes per customer.
//! With a limit per customer, several orders of one customer share a field in Redis, oldest first. The field of a
//! customer who may have occurred in an earlier chunk is read back from Redis and appended to.

use bytes::Bytes;
use contract::ids::{CustomerId, Epoch, RequestDigest, SaleId, customer_hash};
use contract::keys::{SaleKeys, buyer_field, stock_fields};
use contract::order::Amounts;
use contract::order_receipt::{BYTES, OrderReceipt};
use contract::timestamp::Timestamp;
use contract::topics::ORDERS;
use futures_util::{StreamExt, pin_mut};
use lua::Redis;
use lua::scripts::WrittenCounts;
use rustc_hash::{FxHashMap, FxHashSet};

use super::RebuildTarget;
use super::error::RebuildError;
use super::journal::Journal;
use crate::context::Context;
use crate::queries::{SelectSnapshot, SelectSnapshotItems, SelectSnapshotOrders, SelectSnapshotOrdersRow};
use crate::store::database::{DatabaseError, snapshot};
use invariants::stock::{Stock, never_oversold};
use process::invariant;

/// The number of orders that are written at once: about 100 KB.
const CHUNK_ORDERS: usize = 1000;
/// The maximum number of keys that are unlinked at once.
const UNLINK_KEYS_MAX: usize = 1000;
/// The time limit for reading all orders of a sale.
const SNAPSHOT_TIMEOUT: &str = "SET LOCAL statement_timeout = '10min'";

/// Checks that no key of a new epoch exists. A database that was restored begins epochs again that may still be sold.
pub async fn check_absent(redis: &Redis, keys: &SaleKeys) -> Result<(), RebuildError> {
    let all = keys.all().map(|key| Bytes::copy_from_slice(key.as_bytes()));
    match redis.command::<i64>("EXISTS", all.to_vec()).await? {
        0 => Ok(()),
        _ => Err(RebuildError::KeysExist),
    }
}

/// Unlinks the keys of every older epoch, including those of failed attempts.
pub async fn unlink_older_epochs(redis: &Redis, sale: &SaleId, epoch: Epoch) -> Result<(), RebuildError> {
    let older = (1..epoch.0).flat_map(|older| {
        let keys = SaleKeys::new(sale, Epoch(older));
        keys.all().map(|key| Bytes::copy_from_slice(key.as_bytes()))
    });
    let older: Vec<Bytes> = older.collect();
    for keys in older.chunks(UNLINK_KEYS_MAX) {
        redis.command::<i64>("UNLINK", keys.to_vec()).await?;
    }
    Ok(())
}

/// Writes the snapshot. Returns the counts that the keys must have, and the number of orders.
pub async fn write(
    context: &Context,
    target: &RebuildTarget,
    epoch: Epoch,
    keys: &SaleKeys,
    redis: &Redis,
    journal: &Journal,
) -> Result<(WrittenCounts, u64), RebuildError> {
    let mut client = context.pool.get().await?;
    let snapshot = snapshot(&mut client).await?;
    snapshot.batch_execute(SNAPSHOT_TIMEOUT).await?;
    let (stock_fields, limited) = write_stock(&snapshot, target, epoch, keys, redis).await?;
    let mut buyers = Buyers { redis, keys, limited, customers: FxHashSet::default(), fields: 0, orders: 0 };
    let select = SelectSnapshotOrders { sale_id: &target.sale };
    let rows = select.fetch(&snapshot).await?;
    pin_mut!(rows);
    let mut chunk = Vec::with_capacity(CHUNK_ORDERS);
    while let Some(row) = rows.next().await {
        chunk.push(order_receipt(row?)?);
        if chunk.len() == CHUNK_ORDERS {
            buyers.write(&mut chunk).await?;
            journal.set_orders(buyers.orders);
        }
    }
    buyers.write(&mut chunk).await?;
    journal.set_orders(buyers.orders);
    let written =
        WrittenCounts { stock_fields, buyer_fields: buyers.fields, arrival_bytes: 8 * buyers.orders };
    Ok((written, buyers.orders))
}

async fn write_stock(
    snapshot: &deadpool_postgres::Transaction<'_>,
    target: &RebuildTarget,
    epoch: Epoch,
    keys: &SaleKeys,
    redis: &Redis,
) -> Result<(u64, bool), RebuildError> {
    let sale_id = &target.sale;
    let select = SelectSnapshot { sale_id, topic: ORDERS.name, epoch };
    let sale = select.fetch(snapshot).await?.ok_or(RebuildError::Superseded)?;
    let mut args = vec![Bytes::copy_from_slice(keys.stock.as_bytes())];
    let mut fields = 0;
    let mut field = |name: String, value: String| {
        fields += 1;
        args.extend([Bytes::from(name), Bytes::from(value)]);
    };
    field(stock_fields::NEXT.into(), sale.next_sequence.to_string());
    field(stock_fields::RELEASED.into(), sale.released.to_string());
    for item in (SelectSnapshotItems { sale_id }).fetch(snapshot).await? {
        let sku = item.sku;
        match (item.total, item.available) {
            (Some(total), Some(available)) => {
                let (held, sold) = (item.held as u64, item.sold as u64); // the table refuses negative numbers
                let stock = Stock { total: Some(total as u64), held, sold, dead_lettered: 0 };
                invariant::check(sale_id, never_oversold(&stock));
                // Dead letters may have taken more than the total: then nothing is left.
                field(sku.to_string(), available.max(0).to_string());
                field(format!("{}{sku}", stock_fields::TOTAL), total.to_string());
            }
            _ => field(sku.to_string(), "u".into()),
        }
    }
    redis.command::<i64>("HSET", args).await?;
    Ok((fields, sale.limited))
}

/// Reads the customer of an order, and its receipt for Redis.
fn order_receipt(row: SelectSnapshotOrdersRow) -> Result<(CustomerId, OrderReceipt), DatabaseError> {
    let digest = row.request_digest.as_slice().try_into();
    let invalid = |_| DatabaseError::Invalid("customer_order holds an invalid request_digest".into());
    Ok((
        row.customer_id,
        OrderReceipt {
            id: row.order_id,
            digest: RequestDigest(digest.map_err(invalid)?),
            sequence: row.sequence,
            accepted_at: Timestamp::from_datetime(row.accepted_at),
            // The table refuses negative numbers.
            hold_seconds: row.hold_seconds as u32,
            amounts: Amounts {
                subtotal: row.subtotal as u64,
                discount: row.discount as u64,
                delivery_fee: row.delivery_fee as u64,
            },
            live: row.live,
        },
    ))
}

/// Writes the buyers and arrivals of one epoch.
struct Buyers<'a> {
    redis: &'a Redis,
    keys: &'a SaleKeys,
    limited: bool,
    /// The hashes of customers who may have a field already. Only used with a limit, which makes orders share fields.
    customers: FxHashSet<u64>,
    fields: u64,
    orders: u64,
}

impl Buyers<'_> {
    async fn write(&mut self, chunk: &mut Vec<(CustomerId, OrderReceipt)>) -> Result<(), RebuildError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let mut arrivals = Vec::with_capacity(8 * chunk.len());
        let mut fields: FxHashMap<Vec<u8>, Vec<u8>> = FxHashMap::default();
        let mut existing = Vec::new();
        for (customer, order) in chunk.drain(..) {
            let hash = customer_hash(customer.as_str());
            arrivals.extend_from_slice(&hash.to_be_bytes());
            let name = buyer_field(&customer, order.id.request(), self.limited);
            let is_new_in_chunk = !fields.contains_key(&name);
            if self.limited && is_new_in_chunk && !self.customers.insert(hash) {
                existing.push(name.clone());
            }
            let field = fields.entry(name).or_insert_with(|| Vec::with_capacity(BYTES));
            field.extend_from_slice(&order.encode());
            self.orders += 1;
        }
        self.fields += fields.len() as u64;
        self.prepend_existing(existing, &mut fields).await?;
        let mut args = vec![Bytes::copy_from_slice(self.keys.buyers.as_bytes())];
        args.extend(fields.into_iter().flat_map(|(name, orders)| [Bytes::from(name), Bytes::from(orders)]));
        self.redis.command::<i64>("HSET", args).await?;
        let args = vec![Bytes::copy_from_slice(self.keys.arrivals.as_bytes()), Bytes::from(arrivals)];
        self.redis.command::<i64>("APPEND", args).await?;
        Ok(())
    }

    /// Prepends the orders that earlier chunks have written for these customers.
    async fn prepend_existing(
        &mut self,
        existing: Vec<Vec<u8>>,
        fields: &mut FxHashMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), RebuildError> {
        if existing.is_empty() {
            return Ok(());
        }
        let mut args = vec![Bytes::copy_from_slice(self.keys.buyers.as_bytes())];
        args.extend(existing.iter().map(|name| Bytes::copy_from_slice(name)));
        let earlier: Vec<Option<Bytes>> = self.redis.command("HMGET", args).await?;
        for (name, earlier) in existing.iter().zip(earlier) {
            if let (Some(earlier), Some(orders)) = (earlier, fields.get_mut(name)) {
                self.fields -= 1;
                orders.splice(0..0, earlier.iter().copied());
            }
        }
        Ok(())
    }
}

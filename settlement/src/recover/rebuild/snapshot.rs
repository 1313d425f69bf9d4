//! What Postgres knows of a sale at one moment, written into the keys of a new epoch.
//!
//! Orders stream through: neither the orders nor the buyers are ever in memory whole, only eight bytes a
//! customer. With a limit per customer, several orders of one customer share a field of Redis, oldest
//! first; a customer who may have come by before is read back from Redis and appended to.

use bytes::Bytes;
use contract::ids::{CustomerId, Epoch, OrderId, RequestDigest, SaleId, Sequence, customer_hash};
use contract::keys::{SaleKeys, buyer_field, stock_fields};
use contract::order::Amounts;
use contract::order_receipt::{BYTES, OrderReceipt};
use contract::timestamp::Timestamp;
use contract::topics::ORDERS;
use futures_util::{StreamExt, pin_mut};
use lua::Redis;
use lua::scripts::WrittenCounts;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio_postgres::{Row, Transaction};

use super::Due;
use super::attempt::RebuildError;
use super::journal::Journal;
use crate::context::Context;
use crate::store::database::{DatabaseError, snapshot};

/// Orders that are written at once: some 100 KB.
const CHUNK_ORDERS: usize = 1000;
/// Keys that are unlinked at once.
const UNLINK_KEYS_MAX: usize = 1000;
/// The orders of a sale are read within this time.
const SNAPSHOT_TIMEOUT: &str = "SET LOCAL statement_timeout = '10min'";

/// Frees the state of every older epoch, failed attempts included.
pub async fn unlink_older(redis: &Redis, sale: &SaleId, epoch: Epoch) -> Result<(), RebuildError> {
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

/// Writes the snapshot. Returns what must be there, and the number of orders.
pub async fn write_snapshot(
    context: &Context,
    due: &Due,
    epoch: Epoch,
    keys: &SaleKeys,
    redis: &Redis,
    journal: &Journal,
) -> Result<(WrittenCounts, u64), RebuildError> {
    let mut client = context.pool.get().await?;
    let snapshot = snapshot(&mut client).await?;
    snapshot.batch_execute(SNAPSHOT_TIMEOUT).await?;
    let (stock_fields, limited) = write_stock(&snapshot, due, epoch, keys, redis).await?;
    let mut buyers = Buyers { redis, keys, limited, customers: FxHashSet::default(), fields: 0, orders: 0 };
    let select = snapshot.prepare(include_str!("../../../queries/select_snapshot_orders.sql")).await?;
    let rows = snapshot.query_raw(&select, [due.sale.as_str()]).await?;
    pin_mut!(rows);
    let mut chunk = Vec::with_capacity(CHUNK_ORDERS);
    while let Some(row) = rows.next().await {
        chunk.push(remembered(&row?)?);
        if chunk.len() == CHUNK_ORDERS {
            buyers.write(&mut chunk).await?;
            journal.wrote_orders(buyers.orders);
        }
    }
    buyers.write(&mut chunk).await?;
    journal.wrote_orders(buyers.orders);
    let written =
        WrittenCounts { stock_fields, buyer_fields: buyers.fields, arrival_bytes: 8 * buyers.orders };
    Ok((written, buyers.orders))
}

async fn write_stock(
    snapshot: &deadpool_postgres::Transaction<'_>,
    due: &Due,
    epoch: Epoch,
    keys: &SaleKeys,
    redis: &Redis,
) -> Result<(u64, bool), RebuildError> {
    let snapshot: &Transaction<'_> = snapshot;
    let sale = due.sale.as_str();
    let state = snapshot
        .query_opt(
            include_str!("../../../queries/select_snapshot.sql"),
            &[&sale, &ORDERS.name, &(epoch.0 as i64)],
        )
        .await?
        .ok_or(RebuildError::Superseded)?;
    let (next, limited, released): (i64, bool, i64) = (state.get(0), state.get(1), state.get(2));
    let mut args = vec![Bytes::copy_from_slice(keys.stock.as_bytes())];
    let mut fields = 0;
    let mut field = |name: String, value: String| {
        fields += 1;
        args.extend([Bytes::from(name), Bytes::from(value)]);
    };
    field(stock_fields::NEXT.into(), next.to_string());
    field(stock_fields::RELEASED.into(), released.to_string());
    for item in snapshot.query(include_str!("../../../queries/select_snapshot_items.sql"), &[&sale]).await? {
        let sku: &str = item.get(0);
        match (item.get::<_, Option<i64>>(1), item.get::<_, Option<i64>>(2)) {
            (Some(total), Some(available)) => {
                // Dead letters may have taken more than there was: nothing is left then.
                field(sku.into(), available.max(0).to_string());
                field(format!("{}{sku}", stock_fields::TOTAL), total.to_string());
            }
            _ => field(sku.into(), "u".into()),
        }
    }
    redis.command::<i64>("HSET", args).await?;
    Ok((fields, limited))
}

/// An order as Redis remembers it, and whose it is.
fn remembered(row: &Row) -> Result<(CustomerId, OrderReceipt), DatabaseError> {
    let invalid = |what: &str| DatabaseError::Invalid(format!("customer_order holds an invalid {what}"));
    let customer = CustomerId::parse(row.get(1)).map_err(|_| invalid("customer_id"))?;
    let digest = row.get::<_, &[u8]>(2).try_into().map_err(|_| invalid("request_digest"))?;
    let number = |column: usize| row.get::<_, i64>(column) as u64; // checked to be >= 0 by the table
    Ok((
        customer,
        OrderReceipt {
            id: OrderId(row.get(0)),
            digest: RequestDigest(digest),
            sequence: Sequence(number(3)),
            accepted_at: Timestamp::from_datetime(row.get(4)),
            hold_seconds: row.get::<_, i32>(5) as u32,
            amounts: Amounts { subtotal: number(6), discount: number(7), delivery_fee: number(8) },
            live: row.get(9),
        },
    ))
}

/// The buyers and arrivals of one epoch, as they are being written.
struct Buyers<'a> {
    redis: &'a Redis,
    keys: &'a SaleKeys,
    limited: bool,
    /// Hashes of customers who may have a field already; with a limit only, as fields are shared then.
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
        let mut known = Vec::new();
        for (customer, order) in chunk.drain(..) {
            let hash = customer_hash(customer.as_str());
            arrivals.extend_from_slice(&hash.to_be_bytes());
            let name = buyer_field(&customer, order.id.request(), self.limited);
            let new_here = !fields.contains_key(&name);
            if self.limited && new_here && !self.customers.insert(hash) {
                known.push(name.clone());
            }
            let field = fields.entry(name).or_insert_with(|| Vec::with_capacity(BYTES));
            field.extend_from_slice(&order.encode());
            self.orders += 1;
        }
        self.fields += fields.len() as u64;
        self.prepend_known(known, &mut fields).await?;
        let mut args = vec![Bytes::copy_from_slice(self.keys.buyers.as_bytes())];
        args.extend(fields.into_iter().flat_map(|(name, orders)| [Bytes::from(name), Bytes::from(orders)]));
        self.redis.command::<i64>("HSET", args).await?;
        let args = vec![Bytes::copy_from_slice(self.keys.arrivals.as_bytes()), Bytes::from(arrivals)];
        self.redis.command::<i64>("APPEND", args).await?;
        Ok(())
    }

    /// Orders that earlier chunks have written for these customers come first.
    async fn prepend_known(
        &mut self,
        known: Vec<Vec<u8>>,
        fields: &mut FxHashMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), RebuildError> {
        if known.is_empty() {
            return Ok(());
        }
        let mut args = vec![Bytes::copy_from_slice(self.keys.buyers.as_bytes())];
        args.extend(known.iter().map(|name| Bytes::copy_from_slice(name)));
        let before: Vec<Option<Bytes>> = self.redis.command("HMGET", args).await?;
        for (name, before) in known.iter().zip(before) {
            if let (Some(before), Some(orders)) = (before, fields.get_mut(name)) {
                self.fields -= 1;
                orders.splice(0..0, before.iter().copied());
            }
        }
        Ok(())
    }
}

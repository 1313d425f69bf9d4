//! The transaction of a batch: its position and its increments.

use std::collections::{BTreeMap, HashMap};

use contract::event::OrderEvent;
use contract::ids::{OrderId, SaleId};
use contract::timestamp::Timestamp;
use deadpool_postgres::{Pool, Transaction};
use process::postgres::DatabaseError;
use time::OffsetDateTime;
use uuid::Uuid;

use super::increments::{CountedOrder, HourIncrements, Increments, SaleIncrements};
use crate::group::liveness::TopicPartition;

/// Consecutive events of some partitions.
#[derive(Debug, Default)]
pub struct Batch {
    /// The range of offsets in each partition: the first one, and the one behind the last.
    pub ranges: BTreeMap<TopicPartition, (i64, i64)>,
    /// The events of all partitions.
    pub events: Vec<OrderEvent>,
}

/// The reason why a batch was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres is unavailable or rejects a query.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another process has stored these events. The positions must be read again.
    #[error("another process owns these partitions")]
    Fenced,
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

macro_rules! query {
    ($client:expr, $name:literal) => {
        $client.prepare_cached(include_str!(concat!("../../queries/analytics/", $name, ".sql")))
    };
}

/// Reads the positions of partitions. A partition that was never read starts at `first`, which is stored.
pub async fn read_positions(
    pool: &Pool,
    first: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, i64>, DatabaseError> {
    let client = pool.get().await?;
    let topics: Vec<&str> = first.keys().map(|(topic, _)| topic.as_str()).collect();
    let partitions: Vec<i32> = first.keys().map(|(_, partition)| *partition).collect();
    let offsets: Vec<i64> = first.values().copied().collect();
    let begin = query!(client, "begin_positions").await?;
    client.execute(&begin, &[&topics, &partitions, &offsets]).await?;
    let select = query!(client, "positions").await?;
    let rows = client.query(&select, &[&topics]).await?;
    let all = rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2)));
    Ok(all.filter(|(partition, _)| first.contains_key(partition)).collect())
}

/// Stores a batch as a whole, or nothing of it.
pub async fn store(pool: &Pool, batch: &Batch) -> Result<(), StoreError> {
    let mut client = pool.get().await.map_err(DatabaseError::from)?;
    let transaction = client.transaction().await?;
    move_positions(&transaction, &batch.ranges).await?;
    let mut increments = Increments::new(read_orders(&transaction, &batch.events).await?);
    batch.events.iter().for_each(|event| increments.add(event));
    put_orders(&transaction, &increments.orders).await?;
    add_sales(&transaction, &increments.sales).await?;
    add_seconds(&transaction, &increments.seconds).await?;
    add_hours(&transaction, &increments.hours).await?;
    fault::point!("analytics.before_commit");
    transaction.commit().await?;
    fault::point!("analytics.after_commit");
    Ok(())
}

async fn move_positions(
    transaction: &Transaction<'_>,
    ranges: &BTreeMap<TopicPartition, (i64, i64)>,
) -> Result<(), StoreError> {
    let topics: Vec<&str> = ranges.keys().map(|(topic, _)| topic.as_str()).collect();
    let partitions: Vec<i32> = ranges.keys().map(|(_, partition)| *partition).collect();
    let (before, next): (Vec<i64>, Vec<i64>) = ranges.values().copied().unzip();
    let update = query!(transaction, "move_positions").await?;
    let moved = transaction.execute(&update, &[&topics, &partitions, &before, &next]).await?;
    if moved == ranges.len() as u64 { Ok(()) } else { Err(StoreError::Fenced) }
}

async fn read_orders(
    transaction: &Transaction<'_>,
    events: &[OrderEvent],
) -> Result<HashMap<OrderId, CountedOrder>, StoreError> {
    let mut ids: Vec<Uuid> = events.iter().map(|event| event.order_id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let sales: HashMap<Uuid, &SaleId> =
        events.iter().map(|event| (event.order_id.0, &event.sale_id)).collect();
    let select = query!(transaction, "orders").await?;
    let rows = transaction.query(&select, &[&ids]).await?;
    let orders = rows.iter().filter_map(|row| {
        let id: Uuid = row.get(0);
        let time = |column| row.get::<_, Option<OffsetDateTime>>(column).map(Timestamp::from_datetime);
        let sale_id = (*sales.get(&id)?).clone();
        let order = CountedOrder { sale_id, seen: row.get(1), paid_at: time(2), shipped_at: time(3) };
        Some((OrderId(id), order))
    });
    Ok(orders.collect())
}

async fn put_orders(
    transaction: &Transaction<'_>,
    orders: &HashMap<OrderId, CountedOrder>,
) -> Result<(), StoreError> {
    // Rows are written in the order of their ids, so that two processes cannot deadlock.
    let mut orders: Vec<_> = orders.iter().collect();
    orders.sort_unstable_by_key(|(id, _)| id.0);
    let ids: Vec<Uuid> = orders.iter().map(|(id, _)| id.0).collect();
    let sales: Vec<&str> = orders.iter().map(|(_, order)| order.sale_id.as_str()).collect();
    let seen: Vec<i32> = orders.iter().map(|(_, order)| order.seen).collect();
    let paid: Vec<_> = orders.iter().map(|(_, order)| order.paid_at.map(Timestamp::to_datetime)).collect();
    let shipped: Vec<_> =
        orders.iter().map(|(_, order)| order.shipped_at.map(Timestamp::to_datetime)).collect();
    let put = query!(transaction, "put_orders").await?;
    transaction.execute(&put, &[&ids, &sales, &seen, &paid, &shipped]).await?;
    Ok(())
}

async fn add_sales(
    transaction: &Transaction<'_>,
    sales: &BTreeMap<SaleId, SaleIncrements>,
) -> Result<(), StoreError> {
    let ids: Vec<&str> = sales.keys().map(SaleId::as_str).collect();
    let currencies: Vec<&str> = sales.values().map(|sale| sale.currency.as_str()).collect();
    let column = |value: fn(&SaleIncrements) -> i64| sales.values().map(value).collect::<Vec<i64>>();
    let numbers = [
        column(|sale| sale.accepted),
        column(|sale| sale.payment_requested),
        column(|sale| sale.paid),
        column(|sale| sale.payment_failed),
        column(|sale| sale.expired),
        column(|sale| sale.cancelled),
        column(|sale| sale.shipped),
        column(|sale| sale.delivered),
        column(|sale| sale.refund_requested),
        column(|sale| sale.refunded),
        column(|sale| sale.captured),
        column(|sale| sale.returned),
    ];
    let time = |value: fn(&SaleIncrements) -> Option<Timestamp>| {
        sales.values().map(|sale| value(sale).map(Timestamp::to_datetime)).collect::<Vec<_>>()
    };
    let (first, last) = (time(|sale| sale.first_order_at), time(|sale| sale.last_order_at));
    let mut parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&ids, &currencies];
    for column in &numbers {
        parameters.push(column);
    }
    parameters.extend([&first as &(dyn tokio_postgres::types::ToSql + Sync), &last]);
    let add = query!(transaction, "add_sales").await?;
    transaction.execute(&add, &parameters).await?;
    Ok(())
}

async fn add_seconds(
    transaction: &Transaction<'_>,
    seconds: &BTreeMap<(SaleId, Timestamp), i64>,
) -> Result<(), StoreError> {
    let sales: Vec<&str> = seconds.keys().map(|(sale, _)| sale.as_str()).collect();
    let times: Vec<_> = seconds.keys().map(|(_, at)| at.to_datetime()).collect();
    let accepted: Vec<i64> = seconds.values().copied().collect();
    let add = query!(transaction, "add_seconds").await?;
    transaction.execute(&add, &[&sales, &times, &accepted]).await?;
    Ok(())
}

async fn add_hours(
    transaction: &Transaction<'_>,
    hours: &BTreeMap<(SaleId, Timestamp), HourIncrements>,
) -> Result<(), StoreError> {
    let sales: Vec<&str> = hours.keys().map(|(sale, _)| sale.as_str()).collect();
    let times: Vec<_> = hours.keys().map(|(_, at)| at.to_datetime()).collect();
    let column = |value: fn(&HourIncrements) -> i64| hours.values().map(value).collect::<Vec<i64>>();
    let (shipped, delivered) = (column(|hour| hour.shipped), column(|hour| hour.delivered));
    let (preparation, on_the_way) = (column(|hour| hour.preparation_ms), column(|hour| hour.on_the_way));
    let delivery = column(|hour| hour.delivery_ms);
    let add = query!(transaction, "add_hours").await?;
    transaction
        .execute(&add, &[&sales, &times, &shipped, &delivered, &preparation, &on_the_way, &delivery])
        .await?;
    Ok(())
}

//! The transaction of a batch: its position and its increments.

use std::collections::{BTreeMap, HashMap};

use contract::event::OrderEvent;
use contract::ids::{OrderId, SaleId};
use contract::timestamp::Timestamp;
use deadpool_postgres::{Pool, Transaction};
use process::postgres::DatabaseError;

use super::increments::{CountedOrder, HourIncrements, Increments, SaleIncrements};
use crate::group::liveness::TopicPartition;
use crate::queries::{
    AnalyticsAddHours, AnalyticsAddSales, AnalyticsAddSeconds, AnalyticsBeginPositions,
    AnalyticsMovePositions, AnalyticsOrders, AnalyticsPositions, AnalyticsPutOrders, HourCounts, OrderTimes,
    SaleCounts, SecondCounts,
};

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

/// Reads the positions of partitions. A partition that was never read starts at `first`, which is stored.
pub async fn read_positions(
    pool: &Pool,
    first: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, i64>, DatabaseError> {
    let client = pool.get().await?;
    let topics: Vec<&str> = first.keys().map(|(topic, _)| topic.as_str()).collect();
    let partitions: Vec<i32> = first.keys().map(|(_, partition)| *partition).collect();
    let offsets: Vec<i64> = first.values().copied().collect();
    let begin = AnalyticsBeginPositions { topics: &topics, partitions: &partitions, offsets: &offsets };
    begin.execute(&client).await?;
    let rows = AnalyticsPositions { topics: &topics }.fetch(&client).await?;
    let all = rows.into_iter().map(|row| ((row.topic, row.partition), row.next_offset));
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
    let (from_offsets, to_offsets): (Vec<i64>, Vec<i64>) = ranges.values().copied().unzip();
    let update = AnalyticsMovePositions {
        topics: &topics,
        partitions: &partitions,
        from_offsets: &from_offsets,
        to_offsets: &to_offsets,
    };
    let moved = update.execute(transaction).await?;
    if moved == ranges.len() as u64 { Ok(()) } else { Err(StoreError::Fenced) }
}

async fn read_orders(
    transaction: &Transaction<'_>,
    events: &[OrderEvent],
) -> Result<HashMap<OrderId, CountedOrder>, StoreError> {
    let mut ids: Vec<OrderId> = events.iter().map(|event| event.order_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let sales: HashMap<OrderId, &SaleId> =
        events.iter().map(|event| (event.order_id, &event.sale_id)).collect();
    let rows = AnalyticsOrders { order_ids: &ids }.fetch(transaction).await?;
    let orders = rows.iter().filter_map(|row| {
        let order = CountedOrder {
            sale_id: (*sales.get(&row.order_id)?).clone(),
            seen: row.seen,
            paid_at: row.paid_at.map(Timestamp::from_datetime),
            shipped_at: row.shipped_at.map(Timestamp::from_datetime),
        };
        Some((row.order_id, order))
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
    let mut columns = OrderTimes::default();
    for (id, order) in orders {
        columns.order_id.push(*id);
        columns.sale_id.push(&order.sale_id);
        columns.seen.push(order.seen);
        columns.paid_at.push(order.paid_at.map(Timestamp::to_datetime));
        columns.shipped_at.push(order.shipped_at.map(Timestamp::to_datetime));
    }
    AnalyticsPutOrders { columns: &columns }.execute(transaction).await?;
    Ok(())
}

async fn add_sales(
    transaction: &Transaction<'_>,
    sales: &BTreeMap<SaleId, SaleIncrements>,
) -> Result<(), StoreError> {
    let mut columns = SaleCounts::default();
    for (id, sale) in sales {
        columns.sale_id.push(id);
        columns.currency.push(sale.currency);
        columns.accepted.push(sale.accepted);
        columns.payment_requested.push(sale.payment_requested);
        columns.paid.push(sale.paid);
        columns.payment_failed.push(sale.payment_failed);
        columns.expired.push(sale.expired);
        columns.cancelled.push(sale.cancelled);
        columns.shipped.push(sale.shipped);
        columns.delivered.push(sale.delivered);
        columns.refund_requested.push(sale.refund_requested);
        columns.refunded.push(sale.refunded);
        columns.captured.push(sale.captured);
        columns.returned.push(sale.returned);
        columns.first_order_at.push(sale.first_order_at.map(Timestamp::to_datetime));
        columns.last_order_at.push(sale.last_order_at.map(Timestamp::to_datetime));
    }
    AnalyticsAddSales { columns: &columns }.execute(transaction).await?;
    Ok(())
}

async fn add_seconds(
    transaction: &Transaction<'_>,
    seconds: &BTreeMap<(SaleId, Timestamp), i64>,
) -> Result<(), StoreError> {
    let mut columns = SecondCounts::default();
    for ((sale, at), accepted) in seconds {
        columns.sale_id.push(sale);
        columns.at.push(at.to_datetime());
        columns.accepted.push(*accepted);
    }
    AnalyticsAddSeconds { columns: &columns }.execute(transaction).await?;
    Ok(())
}

async fn add_hours(
    transaction: &Transaction<'_>,
    hours: &BTreeMap<(SaleId, Timestamp), HourIncrements>,
) -> Result<(), StoreError> {
    let mut columns = HourCounts::default();
    for ((sale, at), hour) in hours {
        columns.sale_id.push(sale);
        columns.at.push(at.to_datetime());
        columns.shipped.push(hour.shipped);
        columns.delivered.push(hour.delivered);
        columns.preparation_ms.push(hour.preparation_ms);
        columns.on_the_way.push(hour.on_the_way);
        columns.delivery_ms.push(hour.delivery_ms);
    }
    AnalyticsAddHours { columns: &columns }.execute(transaction).await?;
    Ok(())
}

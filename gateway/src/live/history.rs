//! The history of an order from Postgres. For streams that were opened while Postgres was down, it is read later.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::{CustomerId, OrderId, SaleId};
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::problem::Code;
use contract::timestamp::Timestamp;
use deadpool_postgres::Pool;
use tokio_util::sync::CancellationToken;

use super::change::{Change, EventId};
use super::registry::Registry;
use crate::http::problem::Problem;

const ORDER_CHANGES: &str = include_str!("../../queries/order_changes.sql");
/// The time limit of reading one history.
const READ_MAX: Duration = Duration::from_secs(1);
/// The interval between two attempts while Postgres is down.
const RETRY: Duration = Duration::from_millis(500);

/// Reads every change, oldest first; `None` if the order is not settled or belongs to another customer.
pub(super) async fn read(
    pool: &Pool,
    sale: &SaleId,
    order: OrderId,
    customer: &CustomerId,
) -> Result<Option<Vec<Change>>, Problem> {
    let client = pool.get().await?;
    let statement = client.prepare_cached(ORDER_CHANGES).await?;
    let rows = client.query(&statement, &[&order.0, &sale.as_str(), &customer.as_str()]).await?;
    let changes = rows.iter().map(|row| {
        let status = OrderStatus::parse(row.get(2))?;
        let reason = row.get::<_, Option<&str>>(4).and_then(CancelReason::parse);
        Some(Change {
            order_id: order,
            id: Some(EventId { partition: row.get(0), seq: row.get(1) }),
            status,
            cancel_reason: reason.filter(|_| status == OrderStatus::Cancelled),
            at: Timestamp::from_datetime(row.get(3)),
        })
    });
    let changes = changes.collect::<Option<Vec<_>>>().ok_or_else(|| {
        tracing::error!(order_id = %order, "stored event has an unknown status");
        Problem::from(Code::Internal)
    })?;
    Ok((!changes.is_empty()).then_some(changes))
}

/// Publishes the current status of orders to streams that were opened while Postgres was down, one after another.
pub(super) async fn catch_up(live: Arc<Registry>, pool: Pool, stop: CancellationToken) {
    while stop.run_until_cancelled(live.unread.notified()).await.is_some() {
        while let Some((order, sale, customer)) = live.take_unread() {
            let read = tokio::time::timeout(READ_MAX, read(&pool, &sale, order, &customer)).await;
            match read.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into())) {
                Ok(changes) => {
                    if let Some(last) = changes.and_then(|mut changes| changes.pop()) {
                        live.publish(&Arc::new(last));
                    }
                }
                Err(problem) if problem.code == Code::DatabaseUnavailable => {
                    live.note_unread(order, sale, customer);
                    if stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                        return;
                    }
                }
                Err(_) => {} // any other error is permanent and has been logged
            }
        }
    }
}

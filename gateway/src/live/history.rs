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
use crate::queries::SelectOrderChanges;

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
    let rows =
        SelectOrderChanges { order_id: order, sale_id: sale, customer_id: customer }.fetch(&client).await?;
    let changes = rows.into_iter().map(|row| {
        let reason = row.cancel_reason.as_deref().and_then(CancelReason::parse);
        Change {
            order_id: order,
            id: Some(EventId { partition: row.partition, seq: row.seq }),
            status: row.status,
            cancel_reason: reason.filter(|_| row.status == OrderStatus::Cancelled),
            at: Timestamp::from_datetime(row.at),
        }
    });
    let changes: Vec<_> = changes.collect();
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

//! What has happened to an order so far, from Postgres; later, for streams that began while it was away.

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
/// One history may take so long.
const READ_MAX: Duration = Duration::from_secs(1);
/// Between two tries while Postgres is away.
const RETRY: Duration = Duration::from_millis(500);

/// Every change, oldest first; `None`: the order is not settled, or not this customer's.
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
        tracing::error!(order_id = %order, "an event of this order in Postgres has an unknown status");
        Problem::from(Code::Internal)
    })?;
    Ok((!changes.is_empty()).then_some(changes))
}

/// Tells streams that began while Postgres was away where their orders stand, one after another.
pub(super) async fn catch_up(live: Arc<Registry>, pool: Pool, stop: CancellationToken) {
    while stop.run_until_cancelled(live.unread.notified()).await.is_some() {
        while let Some((order, sale, customer)) = live.take_unread() {
            let read = tokio::time::timeout(READ_MAX, read(&pool, &sale, order, &customer)).await;
            match read.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into())) {
                Ok(changes) => {
                    if let Some(last) = changes.and_then(|mut changes| changes.pop()) {
                        live.tell(&Arc::new(last));
                    }
                }
                Err(problem) if problem.code == Code::DatabaseUnavailable => {
                    live.note_unread(order, sale, customer);
                    if stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                        return;
                    }
                }
                Err(_) => {} // what cannot be read now never can; it is logged
            }
        }
    }
}

//! Changes of items that had to wait for a rebuild: added, removed, limited to unlimited and back. Nothing
//! is in flight now, so they are made in Postgres at once, and the snapshot that follows has them.

use contract::ids::Epoch;
use contract::sale::Item;
use tokio_postgres::types::Json;

use super::Due;
use super::attempt::RebuildError;
use crate::context::Context;

/// Makes the pending items, if there are any.
pub async fn make_pending(context: &Context, due: &Due, epoch: Epoch) -> Result<(), RebuildError> {
    let sale = due.sale.as_str();
    let mut client = context.pool.get().await?;
    let transaction = client.transaction().await?;
    let pending = transaction
        .query_opt(include_str!("../../../queries/select_pending_items.sql"), &[&sale, &(epoch.0 as i64)])
        .await?;
    let Some(pending) = pending else { return Ok(()) };
    let Json(items) = pending.try_get::<_, Json<Vec<Item>>>(0)?;

    let skus: Vec<&str> = items.iter().map(|item| item.sku.as_str()).collect();
    let positions: Vec<i32> = (0..items.len() as i32).collect();
    let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
    let prices: Vec<i64> = items.iter().map(|item| item.price as i64).collect();
    let quantities: Vec<i32> = items.iter().map(|item| item.max_quantity_per_order as i32).collect();
    let totals: Vec<Option<i64>> = items.iter().map(|item| item.total.map(|total| total as i64)).collect();
    transaction.execute(include_str!("../../../queries/withdraw_items.sql"), &[&sale, &skus]).await?;
    let raised = transaction
        .query(
            include_str!("../../../queries/offer_items.sql"),
            &[&sale, &skus, &positions, &names, &prices, &quantities, &totals],
        )
        .await?;
    for row in raised {
        let (sku, total): (&str, i64) = (row.get(0), row.get(1));
        tracing::warn!(sale_id = sale, sku, total, "the total cannot be lower than what is taken");
    }
    transaction.execute(include_str!("../../../queries/clear_pending_items.sql"), &[&sale]).await?;
    transaction.commit().await?;
    tracing::info!(sale_id = sale, items = items.len(), "items changed");
    Ok(())
}

//! Changes of items that require a rebuild: items that are added or removed, or that become limited or unlimited. Nothing
//! is in flight at this step, so they are applied in Postgres at once, and the snapshot that follows contains them.

use contract::ids::Epoch;
use contract::sale::Item;
use tokio_postgres::types::Json;

use super::RebuildTarget;
use super::error::RebuildError;
use crate::context::Context;

/// Applies the pending changes of items, if there are any.
pub async fn apply_pending(
    context: &Context,
    target: &RebuildTarget,
    epoch: Epoch,
) -> Result<(), RebuildError> {
    let sale = target.sale.as_str();
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
        tracing::warn!(sale_id = sale, sku, total, "raised a new total to the units that are already taken");
    }
    transaction.execute(include_str!("../../../queries/clear_pending_items.sql"), &[&sale]).await?;
    transaction.commit().await?;
    tracing::info!(sale_id = sale, items = items.len(), "applied pending changes of items");
    Ok(())
}

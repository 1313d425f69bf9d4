//! Changes of items that require a rebuild: items that are added or removed, or that become limited or unlimited. Nothing
//! is in flight at this step, so they are applied in Postgres at once, and the snapshot that follows contains them.

use contract::ids::Epoch;
use tokio_postgres::types::Json;

use super::RebuildTarget;
use super::error::RebuildError;
use crate::context::Context;
use crate::queries::{ClearPendingItems, ItemColumns, OfferItems, SelectPendingItems, WithdrawItems};

/// Applies the pending changes of items, if there are any.
pub async fn apply_pending(
    context: &Context,
    target: &RebuildTarget,
    epoch: Epoch,
) -> Result<(), RebuildError> {
    let sale_id = &target.sale;
    let mut client = context.pool.get().await?;
    let transaction = client.transaction().await?;
    let Some(pending) = (SelectPendingItems { sale_id, epoch }).fetch(&transaction).await? else {
        return Ok(());
    };
    let Json(items) = pending.pending_items;

    let skus: Vec<&str> = items.iter().map(|item| item.sku.as_str()).collect();
    WithdrawItems { sale_id, skus: &skus }.execute(&transaction).await?;
    let columns = ItemColumns {
        sku: items.iter().map(|item| &item.sku).collect(),
        position: (0..items.len() as i32).collect(),
        name: items.iter().map(|item| item.name.as_str()).collect(),
        price: items.iter().map(|item| item.price as i64).collect(),
        max_quantity_per_order: items.iter().map(|item| item.max_quantity_per_order as i32).collect(),
        total: items.iter().map(|item| item.total.map(|total| total as i64)).collect(),
    };
    for raised in (OfferItems { sale_id, columns: &columns }).fetch(&transaction).await? {
        tracing::warn!(%sale_id, sku = %raised.sku, total = raised.total, "raised a new total to the units that are already taken");
    }
    ClearPendingItems { sale_id }.execute(&transaction).await?;
    transaction.commit().await?;
    tracing::info!(%sale_id, items = items.len(), "applied pending changes of items");
    Ok(())
}

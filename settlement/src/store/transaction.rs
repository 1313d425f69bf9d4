//! The transaction of a batch: the compare-and-set of the position, and all effects of the records.

use contract::record::TotalsChange;
use contract::topics::ORDERS;
use deadpool_postgres::{Client, Transaction};
use futures_util::future::try_join_all;
use futures_util::{FutureExt, future::BoxFuture};
use invariants::{position, sequence};
use process::invariant;
use tokio_postgres::types::Json;

use super::{BatchSpan, StoreError, upsert_rows};
use crate::decide::effects::{DeadLetter, Effects};
use crate::queries::{
    ChangeTotals, CountDeadLettered, InsertCreatedEvents, InsertDeadLetter, InsertLines, InsertMoveEvents,
    InsertNotes, InsertOrders, InsertReleases, InsertWalletEntries, MovePosition, MoveSales, MoveUnits,
    MoveWallets, ReleaseColumns, SaleColumns, UnitColumns,
};

/// Commits a batch. On an error nothing of it is stored, except that after a failed commit the outcome is unknown.
pub async fn commit(client: &mut Client, span: BatchSpan, effects: &Effects<'_>) -> Result<(), StoreError> {
    // Counted from the rows that are written, not from what the effects say about their sequences.
    let changed_items = effects.changes.iter().map(|(change, _)| change.items.len());
    let (orders, moves) = (effects.created.len(), effects.moves.status.len());
    let events = (orders + moves + effects.releases.sku.len() + changed_items.sum::<usize>()) as i64;
    invariant::check(span.partition, position::advances(span.from_offset, span.to_offset));
    invariant::check(span.partition, sequence::events_counted(span.from_seq, span.to_seq, events));
    fault::point!("settlement.before_transaction");
    let transaction = client.transaction().await?;
    // The position moves first: its row lock fences off a former owner.
    move_position(&transaction, span).await?;
    let transaction = if fault::removed!("one_transaction") {
        transaction.commit().await?;
        fault::point!("settlement.between_transactions");
        client.transaction().await?
    } else {
        transaction
    };
    insert_all(&transaction, span, effects).await?;
    move_all(&transaction, span, effects).await?;
    for (change, seq) in &effects.changes {
        change_totals(&transaction, span.partition, change, *seq).await?;
    }
    for letter in &effects.dead_letters {
        insert_dead_letter(&transaction, span.partition, letter).await?;
    }
    fault::point!("settlement.before_commit");
    transaction.commit().await?;
    fault::point!("settlement.after_commit");
    Ok(())
}

/// Inserts new orders with all their effects, inside a transaction that has moved its position.
pub async fn insert(tx: &Transaction<'_>, span: BatchSpan, effects: &Effects<'_>) -> Result<(), StoreError> {
    insert_all(tx, span, effects).await?;
    move_all(tx, span, effects).await
}

/// Moves the position inside a transaction.
pub async fn move_to(tx: &Transaction<'_>, span: BatchSpan) -> Result<(), StoreError> {
    move_position(tx, span).await
}

async fn insert_all(tx: &Transaction<'_>, span: BatchSpan, effects: &Effects<'_>) -> Result<(), StoreError> {
    effects.check_units();
    // The statements do not depend on each other: they are pipelined.
    let mut work: Vec<BoxFuture<'_, Result<(), StoreError>>> = Vec::new();
    // Sales are locked before their items, as by operators and rebuilds, so that no two transactions deadlock.
    if !effects.sales.is_empty() {
        work.push(move_sales(tx, effects).boxed());
    }
    if !effects.orders.order_id.is_empty() {
        work.push(insert_orders(tx, effects).boxed());
        work.push(insert_lines(tx, effects).boxed());
        work.push(insert_events(tx, span, effects).boxed());
    }
    if !effects.units.is_empty() {
        work.push(move_units(tx, effects).boxed());
    }
    try_join_all(work).await?;
    Ok(())
}

async fn move_position(tx: &Transaction<'_>, span: BatchSpan) -> Result<(), StoreError> {
    let update = MovePosition {
        topic: ORDERS.name,
        partition: span.partition,
        from_offset: span.from_offset,
        from_seq: span.from_seq,
        to_offset: span.to_offset,
        to_seq: span.to_seq,
    };
    match update.execute(tx).await? {
        1 => Ok(()),
        _ => Err(StoreError::Fenced),
    }
}

async fn insert_orders(tx: &Transaction<'_>, effects: &Effects<'_>) -> Result<(), StoreError> {
    InsertOrders { columns: &effects.orders }.execute(tx).await?;
    Ok(())
}

async fn insert_lines(tx: &Transaction<'_>, effects: &Effects<'_>) -> Result<(), StoreError> {
    InsertLines { columns: &effects.lines }.execute(tx).await?;
    Ok(())
}

async fn insert_events(
    tx: &Transaction<'_>,
    span: BatchSpan,
    effects: &Effects<'_>,
) -> Result<(), StoreError> {
    let insert = InsertCreatedEvents {
        partition: span.partition,
        first_seq: span.from_seq,
        order_id: &effects.orders.order_id,
        at: span.at.to_datetime(),
    };
    insert.execute(tx).await?;
    Ok(())
}

async fn move_units(tx: &Transaction<'_>, effects: &Effects<'_>) -> Result<(), StoreError> {
    let columns = UnitColumns {
        sale_id: effects.units.keys().map(|(sale, _)| *sale).collect(),
        sku: effects.units.keys().map(|(_, sku)| *sku).collect(),
        held: effects.units.values().map(|units| units.held).collect(),
        sold: effects.units.values().map(|units| units.sold).collect(),
    };
    let moved = MoveUnits { columns: &columns }.execute(tx).await?;
    if moved != columns.sku.len() as u64 {
        return Err(StoreError::Refused("an item has been removed".into()));
    }
    Ok(())
}

/// Writes the changes of orders. New orders of the batch may be among them, so this follows their insertion.
async fn move_all(tx: &Transaction<'_>, span: BatchSpan, effects: &Effects<'_>) -> Result<(), StoreError> {
    let (partition, at) = (span.partition, span.at.to_datetime());
    let changed = effects.changed_orders();
    if !changed.is_empty() {
        upsert_rows::write(tx, span, &changed).await?;
    }
    if !effects.moves.order_id.is_empty() {
        let first_seq = effects.first_move_seq(span.from_seq);
        InsertMoveEvents { partition, first_seq, at, columns: &effects.moves }.execute(tx).await?;
    }
    if !effects.releases.units.is_empty() {
        insert_releases(tx, span, effects.first_release_seq(span.from_seq), &effects.releases).await?;
    }
    if !effects.wallets.order_id.is_empty() {
        MoveWallets { at, columns: &effects.wallets }.execute(tx).await?;
        InsertWalletEntries { at, columns: &effects.wallets }.execute(tx).await?;
    }
    if !effects.notes.order_id.is_empty() {
        InsertNotes { partition, at, columns: &effects.notes }.execute(tx).await?;
    }
    Ok(())
}

/// Inserts releases of units, with sequences from `first_seq` on.
pub async fn insert_releases(
    tx: &Transaction<'_>,
    span: BatchSpan,
    first_seq: i64,
    columns: &ReleaseColumns<'_>,
) -> Result<(), StoreError> {
    let (partition, at) = (span.partition, span.at.to_datetime());
    InsertReleases { partition, first_seq, at, columns }.execute(tx).await?;
    Ok(())
}

async fn move_sales(tx: &Transaction<'_>, effects: &Effects<'_>) -> Result<(), StoreError> {
    let columns = SaleColumns {
        sale_id: effects.sales.keys().copied().collect(),
        next_sequence: effects.sales.values().map(|(next, _)| *next).collect(),
        settled_epoch: effects.sales.values().map(|(_, epoch)| *epoch).collect(),
    };
    MoveSales { columns: &columns }.execute(tx).await?;
    Ok(())
}

async fn change_totals(
    tx: &Transaction<'_>,
    partition: i32,
    change: &TotalsChange,
    first_seq: i64,
) -> Result<(), StoreError> {
    let skus: Vec<&str> = change.items.iter().map(|item| item.sku.as_str()).collect();
    let totals: Vec<i64> = change.items.iter().map(|item| item.total as i64).collect();
    let row = ChangeTotals {
        change_id: change.change_id,
        sale_id: &change.sale_id,
        items: Json(&change.items),
        skus: &skus,
        totals: &totals,
        partition,
        first_seq,
    };
    let row = row.fetch(tx).await?;
    let wanted = skus.len() as i64;
    if row.found != wanted || row.limited != wanted {
        return Err(StoreError::Refused("the total of an item without a limit cannot change".into()));
    }
    tracing::info!(
        sale_id = %change.sale_id,
        change_id = %change.change_id,
        new = row.is_new,
        "changed the totals of a sale"
    );
    Ok(())
}

async fn insert_dead_letter(
    tx: &Transaction<'_>,
    partition: i32,
    letter: &DeadLetter<'_>,
) -> Result<(), StoreError> {
    let record = letter.record;
    let headers: std::collections::BTreeMap<_, _> =
        record.raw.headers.iter().map(|(name, value)| (name, value)).collect();
    let (first, count) = record.headers.sequences.map_or((0, 0), |(first, count)| (first.0, count));
    let last = first.saturating_add(count).saturating_sub(1);
    let order_ids = record.order_ids();
    let insert = InsertDeadLetter {
        topic: ORDERS.name,
        partition,
        log_offset: record.offset,
        key: record.raw.key.as_deref(),
        value: record.raw.value.as_deref(),
        headers: Json(&headers),
        sale_id: record.sale.as_ref(),
        epoch: record.headers.epoch,
        letter_units: Json(&letter.units),
        reason: letter.refusal.reason,
        detail: &letter.refusal.detail.replace('\0', "\u{fffd}"),
        first_sequence: first as i64,
        last_sequence: last as i64,
        order_ids: &order_ids,
        settled_epoch: letter.settled_epoch,
    };
    let row = insert.fetch(tx).await?;
    if let Some(sale_id) = &record.sale {
        CountDeadLettered { sale_id, units: &row.units }.execute(tx).await?;
    }
    Ok(())
}

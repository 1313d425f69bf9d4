//! The transaction of a batch: the compare-and-set of the position, and all effects of the records.

use contract::record::TotalsChange;
use contract::topics::ORDERS;
use deadpool_postgres::{Client, Transaction};
use futures_util::future::try_join_all;
use futures_util::{FutureExt, future::BoxFuture};
use tokio_postgres::types::{Json, ToSql};

use super::{BatchSpan, StoreError, upsert_rows};
use crate::decide::effects::{DeadLetter, Effects};
use crate::store::insert_columns::ReleaseColumns;

/// Commits a batch. On an error nothing of it is stored, except that after a failed commit the outcome is unknown.
pub async fn commit(client: &mut Client, span: BatchSpan, effects: &Effects<'_>) -> Result<(), StoreError> {
    fault::point!("settlement.before_transaction");
    let transaction = client.transaction().await?;
    let statements = Statements::prepare(&transaction).await?;
    // The position moves first: its row lock fences off a former owner.
    move_position(&transaction, &statements, span).await?;
    let transaction = if fault::removed!("one_transaction") {
        transaction.commit().await?;
        fault::point!("settlement.between_transactions");
        client.transaction().await?
    } else {
        transaction
    };
    insert_all(&transaction, &statements, span, effects).await?;
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
    let statements = Statements::prepare(tx).await?;
    insert_all(tx, &statements, span, effects).await?;
    move_all(tx, span, effects).await
}

/// Moves the position inside a transaction.
pub async fn move_to(tx: &Transaction<'_>, span: BatchSpan) -> Result<(), StoreError> {
    let statements = Statements::prepare(tx).await?;
    move_position(tx, &statements, span).await
}

async fn insert_all(
    tx: &Transaction<'_>,
    statements: &Statements,
    span: BatchSpan,
    effects: &Effects<'_>,
) -> Result<(), StoreError> {
    // The statements do not depend on each other: they are pipelined.
    let mut work: Vec<BoxFuture<'_, Result<(), StoreError>>> = Vec::new();
    // Sales are locked before their items, as by operators and rebuilds, so that no two transactions deadlock.
    if !effects.sales.is_empty() {
        work.push(move_sales(tx, statements, effects).boxed());
    }
    if !effects.orders.order_id.is_empty() {
        work.push(insert_orders(tx, statements, effects).boxed());
        work.push(insert_lines(tx, statements, effects).boxed());
        work.push(insert_events(tx, statements, span, effects).boxed());
    }
    if !effects.units.is_empty() {
        work.push(move_units(tx, statements, effects).boxed());
    }
    try_join_all(work).await?;
    Ok(())
}

struct Statements {
    position: tokio_postgres::Statement,
    orders: tokio_postgres::Statement,
    lines: tokio_postgres::Statement,
    events: tokio_postgres::Statement,
    items: tokio_postgres::Statement,
    sales: tokio_postgres::Statement,
}

impl Statements {
    async fn prepare(tx: &Transaction<'_>) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            position: tx.prepare_cached(include_str!("../../queries/move_position.sql")).await?,
            orders: tx.prepare_cached(include_str!("../../queries/insert_orders.sql")).await?,
            lines: tx.prepare_cached(include_str!("../../queries/insert_lines.sql")).await?,
            events: tx.prepare_cached(include_str!("../../queries/insert_created_events.sql")).await?,
            items: tx.prepare_cached(include_str!("../../queries/move_units.sql")).await?,
            sales: tx.prepare_cached(include_str!("../../queries/move_sales.sql")).await?,
        })
    }
}

async fn move_position(
    tx: &Transaction<'_>,
    statements: &Statements,
    span: BatchSpan,
) -> Result<(), StoreError> {
    let params: [&(dyn ToSql + Sync); 6] =
        [&ORDERS.name, &span.partition, &span.to_offset, &span.to_seq, &span.from_offset, &span.from_seq];
    match tx.execute(&statements.position, &params).await? {
        1 => Ok(()),
        _ => Err(StoreError::Fenced),
    }
}

async fn insert_orders(
    tx: &Transaction<'_>,
    statements: &Statements,
    effects: &Effects<'_>,
) -> Result<(), StoreError> {
    let c = &effects.orders;
    let params: [&(dyn ToSql + Sync); 18] = [
        &c.order_id,
        &c.sale_id,
        &c.customer_id,
        &c.customer_email,
        &c.sequence,
        &c.epoch,
        &c.subtotal,
        &c.discount_policy_id,
        &c.discount,
        &c.delivery_fee,
        &c.currency,
        &c.idempotency_key,
        &c.request_digest,
        &c.hold_seconds,
        &c.fulfilment,
        &c.shipping_address,
        &c.payment_request,
        &c.accepted_at,
    ];
    tx.execute(&statements.orders, &params).await?;
    Ok(())
}

async fn insert_lines(
    tx: &Transaction<'_>,
    statements: &Statements,
    effects: &Effects<'_>,
) -> Result<(), StoreError> {
    let c = &effects.lines;
    tx.execute(&statements.lines, &[&c.order_id, &c.line, &c.sku, &c.quantity, &c.unit_price]).await?;
    Ok(())
}

async fn insert_events(
    tx: &Transaction<'_>,
    statements: &Statements,
    span: BatchSpan,
    effects: &Effects<'_>,
) -> Result<(), StoreError> {
    let at = span.at.to_datetime();
    let params: [&(dyn ToSql + Sync); 4] = [&span.partition, &span.from_seq, &effects.orders.order_id, &at];
    tx.execute(&statements.events, &params).await?;
    Ok(())
}

async fn move_units(
    tx: &Transaction<'_>,
    statements: &Statements,
    effects: &Effects<'_>,
) -> Result<(), StoreError> {
    let sales: Vec<&str> = effects.units.keys().map(|(sale, _)| *sale).collect();
    let skus: Vec<&str> = effects.units.keys().map(|(_, sku)| *sku).collect();
    let held: Vec<i64> = effects.units.values().map(|units| units.held).collect();
    let sold: Vec<i64> = effects.units.values().map(|units| units.sold).collect();
    let moved = tx.execute(&statements.items, &[&sales, &skus, &held, &sold]).await?;
    if moved != held.len() as u64 {
        return Err(StoreError::Refused("an item has been removed".into()));
    }
    Ok(())
}

/// Writes the changes of orders. New orders of the batch may be among them, so this follows their insertion.
async fn move_all(tx: &Transaction<'_>, span: BatchSpan, effects: &Effects<'_>) -> Result<(), StoreError> {
    let at = span.at.to_datetime();
    let changed = effects.changed_orders();
    if !changed.is_empty() {
        upsert_rows::write(tx, span, &changed).await?;
    }
    let moves = &effects.moves;
    if !moves.order_id.is_empty() {
        let insert = tx.prepare_cached(include_str!("../../queries/insert_move_events.sql")).await?;
        let first = effects.first_move_seq(span.from_seq);
        let params: [&(dyn ToSql + Sync); 6] =
            [&span.partition, &first, &moves.order_id, &moves.status, &moves.reason, &at];
        tx.execute(&insert, &params).await?;
    }
    if !effects.releases.units.is_empty() {
        insert_releases(tx, span, effects.first_release_seq(span.from_seq), &effects.releases).await?;
    }
    move_wallets(tx, span, effects).await?;
    let notes = &effects.notes;
    if !notes.order_id.is_empty() {
        let insert = tx.prepare_cached(include_str!("../../queries/insert_notes.sql")).await?;
        let params: [&(dyn ToSql + Sync); 7] = [
            &span.partition,
            &notes.log_offset,
            &notes.order_id,
            &notes.command,
            &notes.result,
            &notes.found,
            &at,
        ];
        tx.execute(&insert, &params).await?;
    }
    Ok(())
}

async fn move_wallets(
    tx: &Transaction<'_>,
    span: BatchSpan,
    effects: &Effects<'_>,
) -> Result<(), StoreError> {
    let entries = &effects.wallets;
    if entries.order_id.is_empty() {
        return Ok(());
    }
    let at = span.at.to_datetime();
    let update = tx.prepare_cached(include_str!("../../queries/move_wallets.sql")).await?;
    let params: [&(dyn ToSql + Sync); 4] = [&entries.customer_id, &entries.currency, &entries.amount, &at];
    tx.execute(&update, &params).await?;
    let insert = tx.prepare_cached(include_str!("../../queries/insert_wallet_entries.sql")).await?;
    let params: [&(dyn ToSql + Sync); 6] =
        [&entries.customer_id, &entries.currency, &entries.amount, &entries.reason, &entries.order_id, &at];
    tx.execute(&insert, &params).await?;
    Ok(())
}

/// Inserts releases of units, with sequences from `first` on.
pub async fn insert_releases(
    tx: &Transaction<'_>,
    span: BatchSpan,
    first: i64,
    releases: &ReleaseColumns<'_>,
) -> Result<(), StoreError> {
    let insert = tx.prepare_cached(include_str!("../../queries/insert_releases.sql")).await?;
    let at = span.at.to_datetime();
    let ReleaseColumns { sale_id, sku, units, order_id } = releases;
    let params: [&(dyn ToSql + Sync); 7] = [&span.partition, &first, sale_id, sku, units, order_id, &at];
    tx.execute(&insert, &params).await?;
    Ok(())
}

async fn move_sales(
    tx: &Transaction<'_>,
    statements: &Statements,
    effects: &Effects<'_>,
) -> Result<(), StoreError> {
    let names: Vec<&str> = effects.sales.keys().copied().collect();
    let next: Vec<i64> = effects.sales.values().map(|(next, _)| *next).collect();
    let epochs: Vec<i64> = effects.sales.values().map(|(_, epoch)| *epoch).collect();
    tx.execute(&statements.sales, &[&names, &next, &epochs]).await?;
    Ok(())
}

async fn change_totals(
    tx: &Transaction<'_>,
    partition: i32,
    change: &TotalsChange,
    seq: i64,
) -> Result<(), StoreError> {
    let skus: Vec<&str> = change.items.iter().map(|item| item.sku.as_str()).collect();
    let totals: Vec<i64> = change.items.iter().map(|item| item.total as i64).collect();
    let statement = tx.prepare_cached(include_str!("../../queries/change_totals.sql")).await?;
    let params: [&(dyn ToSql + Sync); 7] =
        [&change.change_id, &change.sale_id.as_str(), &Json(&change.items), &skus, &totals, &partition, &seq];
    let row = tx.query_one(&statement, &params).await?;
    let (new, found, limited): (bool, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let wanted = skus.len() as i64;
    if found != wanted || limited != wanted {
        return Err(StoreError::Refused("the total of an item without a limit cannot change".into()));
    }
    tracing::info!(sale_id = %change.sale_id, change_id = %change.change_id, new, "changed the totals of a sale");
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
    let insert = tx.prepare_cached(include_str!("../../queries/insert_dead_letter.sql")).await?;
    let params: [&(dyn ToSql + Sync); 14] = [
        &ORDERS.name,
        &partition,
        &record.offset,
        &record.raw.key,
        &record.raw.value,
        &Json(&headers),
        &record.sale.as_ref().map(|sale| sale.as_str()),
        &record.headers.epoch.map(|epoch| epoch.0 as i64),
        &Json(&letter.units),
        &letter.refusal.reason,
        &letter.refusal.detail.replace('\0', "\u{fffd}"),
        &(first as i64),
        &(last as i64),
        &letter.settled_epoch.map(|epoch| epoch.0 as i64),
    ];
    let row = tx.query_one(&insert, &params).await?;
    if let Some(sale) = &record.sale {
        let count = tx.prepare_cached(include_str!("../../queries/count_dead_lettered.sql")).await?;
        let units: serde_json::Value = row.get(0);
        tx.execute(&count, &[&sale.as_str(), &units]).await?;
    }
    Ok(())
}

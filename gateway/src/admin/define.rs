//! `PUT /admin/v1/sales/{sale}`: defines a sale. A draft is replaced completely. After the sale has been opened, totals
//! change through the script, which knows the free units. Added or removed items, and whether units or orders are
//! limited at all, change with a rebuild. Everything else changes immediately.

use contract::ids::SaleId;
use contract::problem::Code;
use contract::sale::{Item, SaleTerms};
use contract::timestamp::Timestamp;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use time::OffsetDateTime;
use tokio_postgres::Transaction;

use super::sales;
use super::totals::{ItemBefore, SaleEditor, change};
use crate::http::problem::Problem;
use crate::http::request_body;
use crate::http::response::Response;

/// The maximum size of a definition in bytes, which is ample for 200 items with names.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

const INSERT_SALE: &str = include_str!("../../queries/insert_sale.sql");
const LOCK_SALE: &str = include_str!("../../queries/lock_sale.sql");
const UPDATE_SALE: &str = include_str!("../../queries/update_sale.sql");
const PUT_ITEMS: &str = include_str!("../../queries/put_items.sql");
const REMOVE_ITEMS: &str = "DELETE FROM sale_item WHERE sale_id = $1 AND NOT (sku = ANY($2))";

/// Stores the terms.
pub(crate) async fn put(
    editor: SaleEditor<'_>,
    sale: &str,
    head: &Parts,
    body: Incoming,
) -> Result<Response, Problem> {
    let sale = &sales::parse_sale_id(sale)?;
    let body = request_body::read_json(&head.headers, body, BODY_BYTES_MAX).await?;
    let terms: SaleTerms = serde_json::from_slice(&body)
        .map_err(|error| Problem::because(Code::MalformedRequest, error.to_string()))?;
    terms
        .validate()
        .map_err(|error| Problem::because(Code::InvalidSale, error.to_string()).with("field", error.field))?;

    let created = create_or_replace_draft(editor.pool, sale, &terms).await?;
    match created {
        Stored::Created => sales::show(editor.pool, editor.leases, sale, StatusCode::CREATED).await,
        Stored::Changed => sales::show(editor.pool, editor.leases, sale, StatusCode::OK).await,
        Stored::Opened(before) => {
            // Units first: if they cannot be changed, nothing is.
            if !before.needs_rebuild(&terms) {
                change(editor, sale, &before.items, &terms.items).await?;
            }
            change_opened(editor.pool, sale, &terms).await?;
            sales::show(editor.pool, editor.leases, sale, StatusCode::OK).await
        }
    }
}

enum Stored {
    Created,
    Changed,
    /// The sale has been opened; nothing was written yet.
    Opened(Before),
}

/// The definition of an opened sale before the change.
struct Before {
    currency: String,
    limited: bool,
    items: Vec<ItemBefore>,
}

impl Before {
    /// Returns whether these terms require a rebuild of the state in Redis.
    fn needs_rebuild(&self, terms: &SaleTerms) -> bool {
        let same_items = self.items.len() == terms.items.len()
            && terms.items.iter().all(|item| {
                let before = self.items.iter().find(|before| before.sku == item.sku.as_str());
                before.is_some_and(|before| before.total.is_some() == item.total.is_some())
            });
        !same_items || self.limited != terms.max_orders_per_customer.is_some()
    }
}

async fn create_or_replace_draft(pool: &Pool, sale: &SaleId, terms: &SaleTerms) -> Result<Stored, Problem> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let inserted = store_terms(&transaction, INSERT_SALE, sale, terms).await?;
    if inserted == 1 {
        put_items(&transaction, sale, &terms.items).await?;
        transaction.commit().await?;
        tracing::info!(sale_id = %sale, "sale was created as a draft");
        return Ok(Stored::Created);
    }
    let Some(row) = transaction.query_opt(LOCK_SALE, &[&sale.as_str()]).await? else {
        return Err(Problem::because(
            Code::DatabaseUnavailable,
            "The log has no known partition yet, because settlement has not started.",
        ));
    };
    if row.get::<_, &str>("state") == "draft" {
        store_terms(&transaction, UPDATE_SALE, sale, terms).await?;
        let kept: Vec<&str> = terms.items.iter().map(|item| item.sku.as_str()).collect();
        transaction.execute(REMOVE_ITEMS, &[&sale.as_str(), &kept]).await?;
        put_items(&transaction, sale, &terms.items).await?;
        transaction.commit().await?;
        return Ok(Stored::Changed);
    }
    let before = before(&transaction, sale).await?;
    if before.currency != terms.currency.as_str() {
        return Err(Problem::because(
            Code::IllegalMove,
            "The currency cannot be changed after the sale has been opened.",
        ));
    }
    Ok(Stored::Opened(before))
}

async fn before(transaction: &Transaction<'_>, sale: &SaleId) -> Result<Before, Problem> {
    let row = transaction.query_one(LOCK_SALE, &[&sale.as_str()]).await?;
    let items = transaction
        .query(
            "SELECT sku, total, held + sold + dead_lettered FROM sale_item WHERE sale_id = $1 AND offered",
            &[&sale.as_str()],
        )
        .await?;
    Ok(Before {
        currency: row.get("currency"),
        limited: row.get::<_, Option<i32>>("max_orders_per_customer").is_some(),
        items: items
            .iter()
            .map(|row| ItemBefore { sku: row.get(0), total: row.get(1), taken: row.get(2) })
            .collect(),
    })
}

async fn change_opened(pool: &Pool, sale: &SaleId, terms: &SaleTerms) -> Result<(), Problem> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let before = before(&transaction, sale).await?;
    if before.needs_rebuild(terms) {
        for item in &terms.items {
            let taken = before
                .items
                .iter()
                .find(|before| before.sku == item.sku.as_str())
                .map_or(0, |item| item.taken);
            if item.total.is_some_and(|total| (total as i64) < taken) {
                return Err(Problem::because(
                    Code::StockInUse,
                    format!("{taken} of {} are held or sold.", item.sku),
                )
                .with("sku", item.sku.as_str()));
            }
        }
        // The items take effect after the rebuild's barrier, when no older acceptance can follow.
        store_terms(&transaction, UPDATE_SALE, sale, terms).await?;
        let items = serde_json::to_value(&terms.items).unwrap_or_default();
        transaction
            .execute(
                "UPDATE sale SET pending_items = $2, epoch = epoch + 1, ready = false, rebuild_requested = true, \
                        rebuild_reason = 'items', rebuild_since = now() \
                  WHERE sale_id = $1",
                &[&sale.as_str(), &items],
            )
            .await?;
        tracing::info!(sale_id = %sale, "sale was changed and is rebuilt with its new items or limits");
    } else {
        store_terms(&transaction, UPDATE_SALE, sale, terms).await?;
        transaction
            .execute(
                include_str!("../../queries/describe_items.sql"),
                &[
                    &sale.as_str(),
                    &terms.items.iter().map(|item| item.sku.as_str()).collect::<Vec<_>>(),
                    &terms.items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(),
                    &terms.items.iter().map(|item| item.price as i64).collect::<Vec<_>>(),
                    &terms.items.iter().map(|item| item.max_quantity_per_order as i32).collect::<Vec<_>>(),
                ],
            )
            .await?;
        tracing::info!(sale_id = %sale, "sale was changed");
    }
    transaction.commit().await?;
    Ok(())
}

/// Stores everything but the items with a statement whose parameters have this order. Returns the number of rows that
/// the statement wrote.
async fn store_terms(
    transaction: &Transaction<'_>,
    statement: &str,
    sale: &SaleId,
    terms: &SaleTerms,
) -> Result<u64, Problem> {
    let policies = serde_json::to_value(&terms.discount_policies).unwrap_or_default();
    let rows = transaction
        .execute(
            statement,
            &[
                &sale.as_str(),
                &terms.title,
                &terms.currency.as_str(),
                &date(terms.opens_at),
                &date(terms.closes_at),
                &terms.max_orders_per_customer.map(|n| n as i32),
                &(terms.hold_seconds as i32),
                &(terms.delivery_fee as i64),
                &terms.free_delivery_from.map(|n| n as i64),
                &policies,
            ],
        )
        .await?;
    Ok(rows)
}

async fn put_items(transaction: &Transaction<'_>, sale: &SaleId, items: &[Item]) -> Result<(), Problem> {
    transaction
        .execute(
            PUT_ITEMS,
            &[
                &sale.as_str(),
                &items.iter().map(|item| item.sku.as_str()).collect::<Vec<_>>(),
                &items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(),
                &items.iter().map(|item| item.price as i64).collect::<Vec<_>>(),
                &items.iter().map(|item| item.total.map(|n| n as i64)).collect::<Vec<_>>(),
                &items.iter().map(|item| item.max_quantity_per_order as i32).collect::<Vec<_>>(),
            ],
        )
        .await?;
    Ok(())
}

fn date(at: Option<Timestamp>) -> Option<OffsetDateTime> {
    at.map(Timestamp::to_datetime)
}

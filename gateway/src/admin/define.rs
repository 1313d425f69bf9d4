//! `PUT /admin/v1/sales/{sale}`: defines a sale. A draft is replaced completely. After the sale has been opened, totals
//! change through the script, which knows the free units. Added or removed items, and whether units or orders are
//! limited at all, change with a rebuild. Everything else changes immediately.

use contract::ids::SaleId;
use contract::money::Currency;
use contract::problem::Code;
use contract::sale::{Item, SaleState, SaleTerms};
use contract::timestamp::Timestamp;
use deadpool_postgres::{Pool, Transaction};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use tokio_postgres::types::Json;

use super::sales;
use super::totals::{SaleEditor, change};
use crate::http::problem::Problem;
use crate::http::request_body;
use crate::http::response::Response;
use crate::queries::{
    DescribeItems, InsertSale, LockSale, LockSaleRow, RemoveItems, SelectOfferedItems, SelectOfferedItemsRow,
    StorePendingItems, UpdateSale, UpsertItems,
};

/// The maximum size of a definition in bytes, which is ample for 200 items with names.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

/// Creates a query that stores everything but the items.
macro_rules! terms_query {
    ($query:ident, $sale:expr, $terms:expr) => {
        $query {
            sale_id: $sale,
            title: &$terms.title,
            currency: $terms.currency,
            opens_at: $terms.opens_at.map(Timestamp::to_datetime),
            closes_at: $terms.closes_at.map(Timestamp::to_datetime),
            max_orders_per_customer: $terms.max_orders_per_customer.map(|n| n as i32),
            hold_seconds: $terms.hold_seconds as i32,
            delivery_fee: $terms.delivery_fee as i64,
            free_delivery_from: $terms.free_delivery_from.map(|n| n as i64),
            discount_policies: Json(&$terms.discount_policies),
        }
    };
}

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
    currency: Currency,
    limited: bool,
    items: Vec<SelectOfferedItemsRow>,
}

impl Before {
    /// Returns whether these terms require a rebuild of the state in Redis.
    fn needs_rebuild(&self, terms: &SaleTerms) -> bool {
        let same_items = self.items.len() == terms.items.len()
            && terms.items.iter().all(|item| {
                let before = self.items.iter().find(|before| before.sku == item.sku);
                before.is_some_and(|before| before.total.is_some() == item.total.is_some())
            });
        !same_items || self.limited != terms.max_orders_per_customer.is_some()
    }
}

async fn create_or_replace_draft(pool: &Pool, sale: &SaleId, terms: &SaleTerms) -> Result<Stored, Problem> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    if terms_query!(InsertSale, sale, terms).execute(&transaction).await? == 1 {
        upsert_items(&transaction, sale, &terms.items).await?;
        transaction.commit().await?;
        tracing::info!(sale_id = %sale, "sale was created as a draft");
        return Ok(Stored::Created);
    }
    let Some(locked) = (LockSale { sale_id: sale }).fetch(&transaction).await? else {
        return Err(Problem::because(
            Code::DatabaseUnavailable,
            "The log has no known partition yet, because settlement has not started.",
        ));
    };
    if locked.state == SaleState::Draft {
        terms_query!(UpdateSale, sale, terms).execute(&transaction).await?;
        let kept: Vec<&str> = terms.items.iter().map(|item| item.sku.as_str()).collect();
        RemoveItems { sale_id: sale, kept_skus: &kept }.execute(&transaction).await?;
        upsert_items(&transaction, sale, &terms.items).await?;
        transaction.commit().await?;
        return Ok(Stored::Changed);
    }
    let before = before(&transaction, sale, locked).await?;
    if before.currency != terms.currency {
        return Err(Problem::because(
            Code::IllegalMove,
            "The currency cannot be changed after the sale has been opened.",
        ));
    }
    Ok(Stored::Opened(before))
}

async fn before(
    transaction: &Transaction<'_>,
    sale: &SaleId,
    locked: LockSaleRow,
) -> Result<Before, Problem> {
    Ok(Before {
        currency: locked.currency,
        limited: locked.max_orders_per_customer.is_some(),
        items: SelectOfferedItems { sale_id: sale }.fetch(transaction).await?,
    })
}

async fn change_opened(pool: &Pool, sale: &SaleId, terms: &SaleTerms) -> Result<(), Problem> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let locked = LockSale { sale_id: sale }.fetch(&transaction).await?.ok_or(Code::UnknownSale)?;
    let before = before(&transaction, sale, locked).await?;
    if before.needs_rebuild(terms) {
        for item in &terms.items {
            let taken =
                before.items.iter().find(|before| before.sku == item.sku).map_or(0, |item| item.taken);
            if item.total.is_some_and(|total| (total as i64) < taken) {
                return Err(Problem::because(
                    Code::StockInUse,
                    format!("{taken} of {} are held or sold.", item.sku),
                )
                .with("sku", item.sku.as_str()));
            }
        }
        // The items take effect after the rebuild's barrier, when no older acceptance can follow.
        terms_query!(UpdateSale, sale, terms).execute(&transaction).await?;
        StorePendingItems { items: Json(&terms.items), sale_id: sale }.execute(&transaction).await?;
        tracing::info!(sale_id = %sale, "sale was changed and is rebuilt with its new items or limits");
    } else {
        terms_query!(UpdateSale, sale, terms).execute(&transaction).await?;
        let items = &terms.items;
        let query = DescribeItems {
            sale_id: sale,
            skus: &items.iter().map(|item| item.sku.as_str()).collect::<Vec<_>>(),
            names: &items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(),
            prices: &items.iter().map(|item| item.price as i64).collect::<Vec<_>>(),
            max_quantities: &items.iter().map(|item| item.max_quantity_per_order as i32).collect::<Vec<_>>(),
        };
        query.execute(&transaction).await?;
        tracing::info!(sale_id = %sale, "sale was changed");
    }
    transaction.commit().await?;
    Ok(())
}

/// Stores a draft's items.
async fn upsert_items(
    transaction: &Transaction<'_>,
    sale_id: &SaleId,
    items: &[Item],
) -> Result<(), Problem> {
    let query = UpsertItems {
        sale_id,
        skus: &items.iter().map(|item| item.sku.as_str()).collect::<Vec<_>>(),
        names: &items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(),
        prices: &items.iter().map(|item| item.price as i64).collect::<Vec<_>>(),
        totals: &items.iter().map(|item| item.total.map(|n| n as i64)).collect::<Vec<_>>(),
        max_quantities: &items.iter().map(|item| item.max_quantity_per_order as i32).collect::<Vec<_>>(),
    };
    query.execute(transaction).await?;
    Ok(())
}

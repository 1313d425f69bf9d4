//! Evidence from the card provider: the captures and refunds in its own ledger.

use anyhow::Context;
use contract::ids::{OrderId, SaleId};
use serde::Deserialize;

use customers::admin;

/// The number of entries on a page.
const PAGE: usize = 1000;

/// A payment in the provider's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)] // named after the members of the body
pub struct LedgerEntry {
    pub order_id: OrderId,
    pub captured: u64,
    pub refunded: u64,
    pub currency: String,
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<LedgerEntry>,
    next: Option<usize>,
}

/// Reads all entries of a sale from the provider at this URL.
pub async fn read(provider: &str, sale: &SaleId) -> anyhow::Result<Vec<LedgerEntry>> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let path = format!("/v1/ledger?sale={sale}&after={from}&limit={PAGE}");
        let page: Page =
            serde_json::from_slice(&admin::fetch(provider, &path).await?).context("the ledger")?;
        all.extend(page.entries);
        after = page.next;
    }
    Ok(all)
}

//! Evidence from the card provider: what its own books say that it took and gave back.

use anyhow::Context;
use contract::ids::{OrderId, SaleId};
use serde::Deserialize;

use customers::admin;

/// Entries of one page.
const PAGE: usize = 1000;

/// A payment, as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)] // as on the wire
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

/// Everything that the provider at this URL has of a sale.
pub async fn read(provider: &str, sale: &SaleId) -> anyhow::Result<Vec<LedgerEntry>> {
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let path = format!("/v1/ledger?sale={sale}&after={from}&limit={PAGE}");
        let page: Page = serde_json::from_slice(&admin::get(provider, &path).await?).context("the ledger")?;
        all.extend(page.entries);
        after = page.next;
    }
    Ok(all)
}

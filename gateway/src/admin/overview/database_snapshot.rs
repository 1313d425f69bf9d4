//! The overview's data from Postgres, and the part of it that is available without Postgres.

use std::collections::BTreeMap;

use contract::ids::{Epoch, SaleId};
use contract::sale::SaleState;
use contract::topics::ORDERS;
use contract::wire;
use deadpool_postgres::Pool;
use process::postgres::DatabaseError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::queries::SelectOverview;
use crate::read::stored_json::StoredJson;
use crate::sales::sale_view::SaleView;

/// One consistent snapshot of Postgres.
pub(super) struct Settled {
    /// The next offset to be settled in each partition.
    pub(super) positions: BTreeMap<i32, i64>,
    pub(super) undecided: u64,
    pub(super) guard_trips: u64,
    pub(super) sales: Vec<SettledSale>,
}

#[derive(Deserialize)]
pub(super) struct SettledSale {
    sale_id: SaleId,
    title: String,
    state: SaleState,
    partition: i32,
    epoch: Epoch,
    ready: bool,
    orders_settled: u64,
    items: Vec<SettledItem>,
}

#[derive(Deserialize)]
struct SettledItem {
    sku: String,
    name: String,
    total: Option<u64>,
    #[serde(flatten)]
    units: Units,
}

/// The numbers of units that are not available.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Units {
    pub(super) held: i64,
    pub(super) sold: i64,
    pub(super) dead_lettered: i64,
}

/// A sale from Postgres or from the topic `sales`.
pub(super) struct SaleRow<'a> {
    pub(super) sale_id: &'a SaleId,
    pub(super) title: &'a str,
    pub(super) state: SaleState,
    pub(super) partition: i32,
    pub(super) epoch: Epoch,
    pub(super) ready: bool,
    /// The number of settled orders, which only Postgres stores.
    pub(super) orders_settled: Option<u64>,
    pub(super) items: Vec<ItemRow<'a>>,
}

/// An item of a sale.
pub(super) struct ItemRow<'a> {
    pub(super) sku: &'a str,
    pub(super) name: &'a str,
    pub(super) total: Option<u64>,
    /// The units, which only Postgres stores.
    pub(super) units: Option<Units>,
}

/// Reads the snapshot through the connection pool for operators, so that customers' queries do not delay it.
pub(super) async fn read(pool: &Pool) -> Result<Settled, DatabaseError> {
    let client = pool.get().await?;
    let row = SelectOverview { topic: ORDERS.name }.fetch(&client).await?;
    let positions: Vec<(i32, i64)> = decode(&row.positions, "positions")?;
    Ok(Settled {
        positions: positions.into_iter().collect(),
        undecided: row.undecided as u64,
        guard_trips: row.guard_trips as u64,
        sales: decode(&row.sales, "sales")?,
    })
}

/// Decodes a column. The overview shows why it could not be read.
fn decode<T: DeserializeOwned>(stored: &StoredJson, column: &str) -> Result<T, DatabaseError> {
    wire::decode(stored.0.get().as_bytes())
        .map_err(|error| DatabaseError::Invalid(format!("{column}: {error}")))
}

impl SettledSale {
    pub(super) fn row(&self) -> SaleRow<'_> {
        SaleRow {
            sale_id: &self.sale_id,
            title: &self.title,
            state: self.state,
            partition: self.partition,
            epoch: self.epoch,
            ready: self.ready,
            orders_settled: Some(self.orders_settled),
            items: self.items.iter().map(SettledItem::row).collect(),
        }
    }
}

impl SettledItem {
    fn row(&self) -> ItemRow<'_> {
        ItemRow { sku: &self.sku, name: &self.name, total: self.total, units: Some(self.units) }
    }
}

/// Returns a sale as the gateway has read it from the topic `sales`.
pub(super) fn published(view: &SaleView) -> SaleRow<'_> {
    let (publication, terms) = (&view.publication, &view.publication.terms);
    SaleRow {
        sale_id: &publication.sale_id,
        title: &terms.title,
        state: publication.state,
        partition: publication.partition,
        epoch: publication.epoch,
        ready: publication.ready,
        orders_settled: None,
        items: terms
            .items
            .iter()
            .map(|item| ItemRow { sku: item.sku.as_str(), name: &item.name, total: item.total, units: None })
            .collect(),
    }
}

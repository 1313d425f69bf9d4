//! What the owner of a partition remembers of it, so that a batch of new orders needs no look at
//! Postgres: the position, and of each sale how far it is settled. True as long as the position's
//! compare-and-set succeeds, because whatever changes it moves the position in the same transaction.
//! After any error it is thrown away.

use contract::ids::{Epoch, SaleId, Sku};
use contract::money::Currency;
use contract::record::Record;
use deadpool_postgres::Client;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::consume::decoded_record::DecodedRecord;
use crate::store::database::DatabaseError;

const SELECT_POSITIONS: &str = include_str!("../../queries/select_positions.sql");
const SELECT_SALES: &str = include_str!("../../queries/select_settled_sales.sql");

/// A partition's memory.
#[derive(Debug)]
pub struct PartitionState {
    /// The offset of the next record to settle.
    pub next_offset: i64,
    /// The sequence of the next event.
    pub next_seq: i64,
    /// Sales that records have named.
    pub sales: FxHashMap<SaleId, CachedSale>,
}

/// What is remembered of a sale.
#[derive(Debug)]
pub struct CachedSale {
    /// Where its records belong.
    pub partition: i32,
    /// Behind the highest settled sequence: a record from here on is new.
    pub next_sequence: u64,
    /// Acceptances of lower epochs are void.
    pub settled_epoch: Epoch,
    /// Of all its amounts.
    pub currency: Currency,
    /// All it ever offered that has not been removed without a trace.
    pub skus: FxHashSet<Sku>,
}

impl PartitionState {
    /// At a position.
    pub fn at(next_offset: i64, next_seq: i64) -> Self {
        Self { next_offset, next_seq, sales: FxHashMap::default() }
    }

    /// Reads the positions of partitions of the log.
    pub async fn read(client: &Client, partitions: &[i32]) -> Result<Vec<(i32, Self)>, DatabaseError> {
        let select = client.prepare_cached(SELECT_POSITIONS).await?;
        let rows = client.query(&select, &[&contract::topics::ORDERS.name, &partitions]).await?;
        Ok(rows.iter().map(|row| (row.get(0), Self::at(row.get(1), row.get(2)))).collect())
    }

    /// Reads the sales that the records name and that are not remembered, or whose SKUs are not.
    pub async fn learn(&mut self, client: &Client, records: &[DecodedRecord]) -> Result<(), DatabaseError> {
        let mut unknown: Vec<&str> = records
            .iter()
            .filter(|r| !self.knows(r))
            .filter_map(|r| r.sale.as_ref())
            .map(SaleId::as_str)
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_unstable();
        unknown.dedup();
        let select = client.prepare_cached(SELECT_SALES).await?;
        for row in client.query(&select, &[&unknown]).await? {
            // Postgres holds what the gateway has parsed.
            let Ok(sale) = SaleId::parse(row.get(0)) else { continue };
            let Some(currency) = Currency::parse(row.get(4)) else { continue };
            let skus: Vec<&str> = row.get(5);
            self.sales.insert(
                sale,
                CachedSale {
                    partition: row.get(1),
                    next_sequence: row.get::<_, i64>(2) as u64,
                    settled_epoch: Epoch(row.get::<_, i64>(3) as u64),
                    currency,
                    skus: skus.into_iter().filter_map(|sku| Sku::parse(sku).ok()).collect(),
                },
            );
        }
        Ok(())
    }

    fn knows(&self, record: &DecodedRecord) -> bool {
        let Some(name) = &record.sale else { return true };
        let Some(sale) = self.sales.get(name) else { return false };
        record.headers.units.keys().all(|sku| sale.skus.contains(sku))
            && match &record.body {
                Ok(Record::Totals(change)) => change.items.iter().all(|item| sale.skus.contains(&item.sku)),
                _ => true,
            }
    }
}

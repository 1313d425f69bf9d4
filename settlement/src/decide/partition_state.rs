//! What the owner of a partition caches of it, so that a batch of new orders needs no query: the position, and for
//! each sale how far it is settled. The cache is valid as long as the compare-and-set of the position succeeds,
//! because every change of it moves the position in the same transaction. After any error it is discarded.

use contract::ids::{Epoch, OrderId, SaleId, Sku};
use contract::money::Currency;
use contract::record::{AcceptedBatch, Record};
use contract::topics::ORDERS;
use deadpool_postgres::Client;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::consume::decoded_record::DecodedRecord;
use crate::queries::{SelectPositions, SelectSettledSales};
use crate::store::database::DatabaseError;

/// The cached state of a partition.
#[derive(Debug)]
pub struct PartitionState {
    /// The offset of the next record to settle.
    pub next_offset: i64,
    /// The sequence of the next event.
    pub next_seq: i64,
    /// The sales that records have named.
    pub sales: FxHashMap<SaleId, CachedSale>,
}

/// The cached state of a sale.
#[derive(Debug)]
pub struct CachedSale {
    /// The partition of the sale's records.
    pub partition: i32,
    /// The sequence behind the highest settled one: a record from here on is new.
    pub next_sequence: u64,
    /// The highest settled barrier: acceptances of lower epochs are void.
    pub settled_epoch: Epoch,
    /// The currency of all amounts of the sale.
    pub currency: Currency,
    /// All SKUs that the sale ever offered, except those that were removed before anyone ordered them.
    pub skus: FxHashSet<Sku>,
}

impl PartitionState {
    /// Creates the state at a position, with an empty cache of sales.
    pub fn new(next_offset: i64, next_seq: i64) -> Self {
        Self { next_offset, next_seq, sales: FxHashMap::default() }
    }

    /// Reads the positions of partitions of the log.
    pub async fn read(client: &Client, partitions: &[i32]) -> Result<Vec<(i32, Self)>, DatabaseError> {
        let rows = SelectPositions { topic: ORDERS.name, partitions }.fetch(client).await?;
        Ok(rows.iter().map(|row| (row.partition, Self::new(row.next_offset, row.next_seq))).collect())
    }

    /// Reads the sales that the records name and that are not cached, or whose SKUs are not.
    pub async fn cache_sales(
        &mut self,
        client: &Client,
        records: &[DecodedRecord],
    ) -> Result<(), DatabaseError> {
        let mut missing: Vec<&str> = records
            .iter()
            .filter(|record| !self.is_cached(record))
            .filter_map(|record| record.sale.as_ref())
            .map(SaleId::as_str)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        missing.dedup();
        for row in (SelectSettledSales { sale_ids: &missing }).fetch(client).await? {
            // One invalid sale must not stop the others of its partition.
            let Some(currency) = Currency::parse(&row.currency) else { continue };
            self.sales.insert(
                row.sale_id,
                CachedSale {
                    partition: row.partition,
                    next_sequence: row.next_sequence.0,
                    settled_epoch: row.settled_epoch,
                    currency,
                    skus: row.skus.into_iter().collect(),
                },
            );
        }
        Ok(())
    }

    fn is_cached(&self, record: &DecodedRecord) -> bool {
        let Some(name) = &record.sale else { return true };
        let Some(sale) = self.sales.get(name) else { return false };
        record.headers.units.keys().all(|sku| sale.skus.contains(sku))
            && match &record.body {
                Ok(Record::Totals(change)) => change.items.iter().all(|item| sale.skus.contains(&item.sku)),
                _ => true,
            }
    }

    /// Returns the order ids of those records that may be duplicates: their sequences are not all new. Only a query
    /// by id shows which of them are settled.
    pub fn possible_duplicates(&self, records: &[DecodedRecord]) -> Vec<OrderId> {
        let mut next: FxHashMap<&SaleId, u64> = FxHashMap::default();
        let mut ids = Vec::new();
        for batch in records.iter().filter_map(as_accepted) {
            let Some(sale) = self.sales.get(&batch.sale_id) else { continue };
            if batch.epoch < sale.settled_epoch && !fault::removed!("barrier") {
                continue;
            }
            let next = next.entry(&batch.sale_id).or_insert(sale.next_sequence);
            if batch.first_sequence.0 < *next {
                ids.extend(batch.orders.iter().map(|order| order.id));
            }
            *next = (*next).max(batch.first_sequence.0 + batch.orders.len() as u64);
        }
        ids
    }
}

fn as_accepted(record: &DecodedRecord) -> Option<&AcceptedBatch> {
    match &record.body {
        Ok(Record::Accepted(batch)) => Some(batch),
        _ => None,
    }
}

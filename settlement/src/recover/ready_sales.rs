//! The sales that have a ready state in Redis: relay, release and reconciliation iterate over them.

use contract::ids::{Epoch, SaleId};
use contract::keys::SaleKeys;
use contract::publication::ScriptDigests;

use crate::queries::SelectReadySales;
use crate::store::database::DatabaseError;

/// A sale whose newest epoch is ready.
#[derive(Debug, Clone)]
pub struct ReadySale {
    /// The id of the sale.
    pub sale: SaleId,
    /// The partition of its records.
    pub partition: i32,
    /// The epoch that sells.
    pub epoch: Epoch,
    /// The digests of its scripts.
    pub scripts: ScriptDigests,
    /// Its keys in Redis.
    pub keys: SaleKeys,
}

/// Reads the ready sales of these partitions.
pub async fn read(
    client: &deadpool_postgres::Client,
    partitions: &[i32],
) -> Result<Vec<ReadySale>, DatabaseError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let rows = SelectReadySales { partitions }.fetch(client).await?;
    let sales =
        rows.into_iter().map(|row| ReadySale::new(row.sale_id, row.partition, row.epoch, row.scripts.0));
    Ok(sales.collect())
}

impl ReadySale {
    /// Creates the sale with its keys in Redis.
    pub fn new(sale: SaleId, partition: i32, epoch: Epoch, scripts: ScriptDigests) -> Self {
        Self { keys: SaleKeys::new(&sale, epoch), sale, partition, epoch, scripts }
    }
}

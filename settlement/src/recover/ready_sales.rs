//! The sales that have a ready state in Redis: relay, release and reconciliation iterate over them.

use contract::ids::{Epoch, SaleId};
use contract::keys::SaleKeys;
use contract::publication::ScriptDigests;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

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
    let select = client.prepare_cached(include_str!("../../queries/select_ready_sales.sql")).await?;
    let rows = client.query(&select, &[&partitions]).await?;
    Ok(rows.iter().filter_map(ReadySale::from_row).collect())
}

impl ReadySale {
    /// Builds a sale from a row that begins with its id, partition, epoch and scripts.
    pub fn from_row(row: &Row) -> Option<Self> {
        let sale = SaleId::parse(row.get(0)).ok()?;
        let epoch = Epoch(row.get::<_, i64>(2) as u64);
        let Json(scripts) = row.try_get::<_, Json<ScriptDigests>>(3).ok()?;
        Some(Self { keys: SaleKeys::new(&sale, epoch), sale, partition: row.get(1), epoch, scripts })
    }
}

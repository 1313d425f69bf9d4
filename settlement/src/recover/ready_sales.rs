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
    let sales = rows
        .into_iter()
        .filter_map(|row| ReadySale::with_stored_scripts(row.sale_id, row.partition, row.epoch, row.scripts));
    Ok(sales.collect())
}

impl ReadySale {
    /// Creates the sale with its keys in Redis. `None`: another version has stored the scripts, and this one cannot
    /// decode them. The sale is left out, so that it does not stop the others.
    pub fn with_stored_scripts(
        sale: SaleId,
        partition: i32,
        epoch: Epoch,
        scripts: serde_json::Value,
    ) -> Option<Self> {
        let scripts: ScriptDigests = serde_json::from_value(scripts)
            .inspect_err(|error| {
                tracing::warn!(sale_id = %sale, %error, "left out a sale with undecodable scripts");
            })
            .ok()?;
        Some(Self { keys: SaleKeys::new(&sale, epoch), sale, partition, epoch, scripts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_another_version_leave_out_their_sale_alone() {
        let id = SaleId::parse("s").unwrap();
        let is_read = |scripts| ReadySale::with_stored_scripts(id.clone(), 0, Epoch(1), scripts).is_some();
        assert!(!is_read(serde_json::json!({"later": true})));
        let own = lua::Scripts::render(&id, Epoch(1), "mark", "replid").digests;
        assert!(is_read(serde_json::to_value(own).unwrap()));
    }
}

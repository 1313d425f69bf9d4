//! Making the topics exist, and a position in Postgres for each partition of the log.

use contract::topics;
use deadpool_postgres::Pool;
use process::kafka::topics::{TopicError, ensure};

use crate::settings::Settings;
use crate::store::database::DatabaseError;

const INSERT_POSITIONS: &str = include_str!("../../queries/insert_positions.sql");

/// Why there is nothing to settle from yet.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The topics are not there, or not as they must be.
    #[error(transparent)]
    Topics(#[from] TopicError),
    /// Their positions cannot be stored.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Creates what is missing.
pub async fn prepare(settings: &Settings, pool: &Pool) -> Result<(), PrepareError> {
    let own = &settings.settlement;
    ensure(&settings.services, &topics::ALL, own.orders_partitions, own.kafka_replication_factor).await?;
    let client = pool.get().await.map_err(DatabaseError::from)?;
    client
        .execute(INSERT_POSITIONS, &[&topics::ORDERS.name, &own.orders_partitions])
        .await
        .map_err(DatabaseError::from)?;
    Ok(())
}

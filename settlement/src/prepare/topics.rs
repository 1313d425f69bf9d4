//! Creation of the topics, and of a position in Postgres for each partition of the log.

use contract::topics;
use deadpool_postgres::Pool;
use process::kafka::topics::{TopicError, ensure};

use crate::queries::InsertPositions;
use crate::settings::Settings;
use crate::store::database::DatabaseError;

/// The error of a failed preparation.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The topics cannot be created, or an existing topic has other properties.
    #[error(transparent)]
    Topics(#[from] TopicError),
    /// The positions cannot be stored.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Creates the missing topics and positions.
pub async fn prepare(settings: &Settings, pool: &Pool) -> Result<(), PrepareError> {
    let settlement = &settings.settlement;
    ensure(
        &settings.services,
        &topics::ALL,
        settlement.orders_partitions,
        settlement.kafka_replication_factor,
    )
    .await?;
    let client = pool.get().await.map_err(DatabaseError::from)?;
    let insert = InsertPositions { topic: topics::ORDERS.name, partitions: settlement.orders_partitions };
    insert.execute(&client).await.map_err(DatabaseError::from)?;
    Ok(())
}

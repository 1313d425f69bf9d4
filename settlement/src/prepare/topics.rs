//! Creation of the topics, and of a position in Postgres for each partition of the log.

use contract::topics;
use deadpool_postgres::Pool;
use process::kafka::topics::{TopicError, ensure};

use crate::settings::Settings;
use crate::store::database::DatabaseError;

const INSERT_POSITIONS: &str = include_str!("../../queries/insert_positions.sql");

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
    client
        .execute(INSERT_POSITIONS, &[&topics::ORDERS.name, &settlement.orders_partitions])
        .await
        .map_err(DatabaseError::from)?;
    Ok(())
}

//! The error of a background task that is interrupted and retries.

use lua::RedisError;
use process::kafka::ProduceError;

use crate::store::database::DatabaseError;

/// The error of a background task, by the service that failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A query of Postgres failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A command to Redis failed.
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    /// Kafka did not acknowledge a message.
    #[error("Kafka: {0}")]
    Produce(#[from] ProduceError),
}

impl From<tokio_postgres::Error> for TaskError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}
impl From<deadpool_postgres::PoolError> for TaskError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Database(error.into())
    }
}

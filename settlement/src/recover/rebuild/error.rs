//! The errors of a rebuild.

use std::time::Duration;

use lua::RedisError;
use lua::scripts::SealError;
use process::kafka::ProduceError;

use crate::publish::publication::PublishError;
use crate::store::database::DatabaseError;

/// The error of an attempt that did not finish.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A query of Postgres failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Redis is down: no epoch was begun.
    #[error("Redis is down: {0}")]
    NoRedis(RedisError),
    /// A command to Redis failed.
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    /// The mark was not set.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The sale could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The log did not acknowledge the barrier.
    #[error("the barrier: {0}")]
    Barrier(ProduceError),
    /// The barrier was not settled, because the partition made no progress.
    #[error("the barrier was not settled: the partition made no progress for {0:?}")]
    NotSettled(Duration),
    /// Another history of the database has used the epoch.
    #[error("the epoch has keys in Redis already: Postgres has lost it, as after a restore")]
    KeysExist,
    /// A newer epoch has begun, or the sale is a draft again.
    #[error("another attempt has begun")]
    Superseded,
}

impl From<tokio_postgres::Error> for RebuildError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}
impl From<deadpool_postgres::PoolError> for RebuildError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Database(error.into())
    }
}

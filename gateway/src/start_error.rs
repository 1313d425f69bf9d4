//! Why the gateway could not start, or had to stop.

use std::net::SocketAddr;

use process::postgres;

/// Why the gateway could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No identity is configured, so the gateway could not distinguish its clients.
    #[error("no identity is configured: --dev-auth (GATEWAY_DEV_AUTH=true) accepts development identities")]
    NoIdentity,
    /// A listener's address is in use, or not one of this machine.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// `REDIS_URL` is not a valid URL.
    #[error("REDIS_URL: {0}")]
    Redis(#[from] lua::RedisError),
    /// `DATABASE_URL` is not a valid URL.
    #[error(transparent)]
    Postgres(#[from] postgres::PoolError),
    /// The Kafka client refused a setting.
    #[error("Kafka client: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// A task has ended, and the gateway had to stop.
    #[error(transparent)]
    TaskEnded(#[from] process::supervisor::TaskEnded),
}

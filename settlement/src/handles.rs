//! What every task of the process works with. Clones are cheap and lead to the same things.

use std::sync::Arc;

use deadpool_postgres::Pool;
use lua::Redis;
use process::health::Health;
use process::kafka::Producer;
use tokio_util::sync::CancellationToken;

use crate::lag::LogEnds;
use crate::ownership::Ownership;
use crate::progress::Progress;
use crate::settings::Settings;

/// Handles of one process.
#[derive(Clone)]
pub struct Handles {
    /// Every setting.
    pub settings: Arc<Settings>,
    /// Connections to Postgres.
    pub pool: Pool,
    /// The Redis that holds the stock.
    pub redis: Redis,
    /// Into the log and the topic `sales`.
    pub producer: Producer,
    /// What is there and what is missing.
    pub health: Health,
    /// Which partitions are ours.
    pub ownership: Ownership,
    /// Word from the settle loop.
    pub progress: Progress,
    /// Word from who measures the lag.
    pub log_ends: LogEnds,
    /// Cancelled at shutdown.
    pub stop: CancellationToken,
}

impl Handles {
    /// A topic's name on this Kafka.
    pub fn topic(&self, topic: &contract::topics::Topic) -> String {
        self.settings.services.topic(topic.name)
    }
}

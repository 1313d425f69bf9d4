//! The state that the tasks of the process share.
//!
//! | module        | what it holds                                                     |
//! |---------------|-------------------------------------------------------------------|
//! | [`ownership`] | the partitions that this process owns                             |
//! | [`progress`]  | how far each partition is settled, and notifications of new work  |
//! | [`log_ends`]  | the ends of the log's partitions                                  |
//! | [`task_error`] | the error of a background task                                   |

pub mod log_ends;
pub mod ownership;
pub mod progress;
pub mod task_error;

use std::sync::Arc;

use deadpool_postgres::Pool;
use lua::Redis;
use process::health::Health;
use process::kafka::Producer;
use tokio_util::sync::CancellationToken;

use self::log_ends::LogEnds;
use self::ownership::Ownership;
use self::progress::Progress;
use crate::settings::Settings;

/// The connections and the shared state of one process. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Context {
    /// The settings of the process.
    pub settings: Arc<Settings>,
    /// The connections to Postgres.
    pub pool: Pool,
    /// The Redis that holds the stock.
    pub redis: Redis,
    /// The producer for the log and the topic `sales`.
    pub producer: Producer,
    /// The state of each dependency.
    pub health: Health,
    /// The partitions that this process owns.
    pub ownership: Ownership,
    /// The progress of the settle loop.
    pub progress: Progress,
    /// The measured ends of the log.
    pub log_ends: LogEnds,
    /// Cancelled at shutdown.
    pub stop: CancellationToken,
}

impl Context {
    /// Returns the name of a topic on this Kafka, with its prefix.
    pub fn topic(&self, topic: &contract::topics::Topic) -> String {
        self.settings.services.topic(topic.name)
    }
}

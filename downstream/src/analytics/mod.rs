//! Counts what becomes of orders: the funnel and the revenue of each sale, orders a second, deliveries an
//! hour, and when items sold out. Behind `GET /admin/v1/sales/{sale}/report`.
//!
//! Nothing is counted twice, and nothing is left out: a batch's counts and its positions are one
//! transaction, and which states of an order were counted is kept with the order, because an event may stand
//! in the topic more than once.
//!
//! | module       | what it does                                                    |
//! |--------------|-----------------------------------------------------------------|
//! | [`consumer`] | reads batches from where Postgres stands                        |
//! | [`increments`]     | what a batch adds, decided without Postgres                     |
//! | [`store`]    | the transaction                                                 |
//! | [`sell_out`] | notes when an item had nothing left for the first time          |

pub mod consumer;
pub mod increments;
pub mod sell_out;
pub mod store;

use std::net::SocketAddr;

use clap::Args;
use process::kafka::Producer;
use tokio::runtime::Handle;

use crate::RunError;
use crate::group::dead_letters::DeadLetterApi;
use crate::group::{self, Group, GroupError};
use crate::host::Host;

/// The group. Its retry topic only holds what an operator has sent back.
pub const GROUP: Group = Group::new("analytics", "analytics.retry", "analytics.dead-letter");
/// What it writes to.
const TABLES: [&str; 6] = [
    "analytics_position",
    "analytics_order",
    "analytics_sale",
    "analytics_second",
    "analytics_hour",
    "analytics_sell_out",
];

/// Settings of analytics.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Analytics")]
pub struct AnalyticsSettings {
    /// Where /metrics, /health/* and /dead-letters are served.
    #[arg(long, env = "ANALYTICS_LISTEN", default_value = "127.0.0.1:8120", value_name = "HOST:PORT")]
    pub analytics_listen: SocketAddr,
    /// Events of one transaction, at most.
    #[arg(long, env = "ANALYTICS_BATCH_EVENTS_MAX", default_value_t = 4000, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub batch_events_max: u32,
    /// A transaction is begun so long after its first event was read, in milliseconds.
    #[arg(long, env = "ANALYTICS_BATCH_WAIT_MS", default_value_t = 200, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub batch_wait_ms: u64,
    /// Replicas of the group's topics when they are created; 0: three, or as many as there are brokers.
    #[arg(long, env = "KAFKA_REPLICATION_FACTOR", default_value_t = 0, value_name = "REPLICAS", value_parser = clap::value_parser!(i32).range(0..=9))]
    pub kafka_replication_factor: i32,
}

/// Runs until the host stops.
pub async fn run(host: &Host, settings: AnalyticsSettings) -> Result<(), RunError> {
    let producer = Producer::start(&host.services.kafka_brokers, GROUP.name, &group::PRODUCER)
        .map_err(GroupError::from)?;
    DeadLetterApi::new(&host.services, GROUP, producer.clone())
        .serve(host, settings.analytics_listen)
        .await?;
    let pool = host.postgres(GROUP.name)?;
    let ready = async {
        host.schema(&pool, &TABLES).await?;
        group::create_topics(host, &[GROUP.retry, GROUP.dead_letters], settings.kafka_replication_factor)
            .await
    };
    if ready.await.is_some() {
        host.tasks.spawn(sell_out::run(host.clone(), pool.clone()));
        let (of_thread, runtime) = (host.clone(), Handle::current());
        let work = move || consumer::consume(&of_thread, &settings, &pool, &producer, &runtime);
        group::run_consumer_thread(work).await?;
    }
    Ok(())
}

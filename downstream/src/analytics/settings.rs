//! Every setting of the analytics group, with its unit, default and environment variable.

use std::net::SocketAddr;

use clap::Args;

/// Aggregates orders for the report of a sale.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Analytics")]
pub struct AnalyticsSettings {
    /// Address that serves /metrics, /health/* and /dead-letters.
    #[arg(long, env = "ANALYTICS_LISTEN", default_value = "127.0.0.1:8120", value_name = "HOST:PORT")]
    pub analytics_listen: SocketAddr,
    /// Maximum number of events in a transaction.
    #[arg(long, env = "ANALYTICS_BATCH_EVENTS_MAX", default_value_t = 4000, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub batch_events_max: u32,
    /// Delay between reading the first event of a batch and starting its transaction, in milliseconds.
    #[arg(long, env = "ANALYTICS_BATCH_WAIT_MS", default_value_t = 200, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub batch_wait_ms: u64,
    /// Replication factor of the group's topics when they are created; 0: three, or the number of brokers if there
    /// are fewer.
    #[arg(long, env = "KAFKA_REPLICATION_FACTOR", default_value_t = 0, value_name = "REPLICAS", value_parser = clap::value_parser!(i32).range(0..=9))]
    pub kafka_replication_factor: i32,
}

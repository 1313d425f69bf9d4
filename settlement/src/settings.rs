//! The home of every setting of settlement: its unit, its default, its environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser};
use process::settings::{Process, Services};

use crate::decide::delivery_schedule::DeliverySchedule;

/// Settles the log into Postgres, publishes what happened, and keeps Redis' view of each sale.
#[derive(Debug, Clone, Parser)]
#[command(name = "settlement", version)]
pub struct Settings {
    /// The three services.
    #[command(flatten)]
    pub services: Services,
    /// Logs and threads.
    #[command(flatten)]
    pub process: Process,
    /// Settlement's own.
    #[command(flatten)]
    pub settlement: Settlement,
    /// How fast goods go on.
    #[command(flatten)]
    pub delivery: DeliverySchedule,
}

/// Settings of settlement alone.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settlement")]
pub struct Settlement {
    /// Where /metrics and /health/* are served.
    #[arg(long, env = "SETTLEMENT_LISTEN", default_value = "127.0.0.1:8090", value_name = "HOST:PORT")]
    pub settlement_listen: SocketAddr,
    /// Partitions of the topic `orders` when it is created; an existing topic must have as many.
    #[arg(long, env = "ORDERS_PARTITIONS", default_value_t = contract::topics::ORDERS_PARTITIONS_DEFAULT, value_name = "PARTITIONS", value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub orders_partitions: i32,
    /// Replicas of topics when they are created; 0: three, or as many as there are brokers.
    #[arg(long, env = "KAFKA_REPLICATION_FACTOR", default_value_t = 0, value_name = "REPLICAS", value_parser = clap::value_parser!(i32).range(0..=9))]
    pub kafka_replication_factor: i32,
    /// A transaction is begun when so many orders have been gathered.
    #[arg(long, env = "SETTLEMENT_BATCH_ORDERS_MAX", default_value_t = 4096, value_name = "ORDERS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch_orders_max: u32,
    /// A transaction is begun so long after its first record was read, in milliseconds.
    #[arg(long, env = "SETTLEMENT_BATCH_WAIT_MS", default_value_t = 25, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub batch_wait_ms: u64,
    /// Outbox entries older than this are produced again, in milliseconds.
    #[arg(long, env = "RELAY_AFTER_MS", default_value_t = 2000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub relay_after_ms: u64,
    /// Pause between two comparisons of Redis with Postgres, in milliseconds.
    #[arg(long, env = "RECONCILE_EVERY_MS", default_value_t = 2000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub reconcile_every_ms: u64,
    /// A sale is rebuilt when the same drift of its stock has been proven for so long, in milliseconds.
    #[arg(long, env = "RECONCILE_REPAIR_AFTER_MS", default_value_t = 10_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    pub reconcile_repair_after_ms: u64,
}

impl Settlement {
    /// How long a batch may gather.
    pub fn batch_wait(&self) -> Duration {
        Duration::from_millis(self.batch_wait_ms)
    }
    /// When an outbox entry has waited too long.
    pub fn relay_after(&self) -> Duration {
        Duration::from_millis(self.relay_after_ms)
    }
    /// Between two comparisons.
    pub fn reconcile_every(&self) -> Duration {
        Duration::from_millis(self.reconcile_every_ms)
    }
    /// How long a drift may last.
    pub fn reconcile_repair_after(&self) -> Duration {
        Duration::from_millis(self.reconcile_repair_after_ms)
    }
}

//! All settings of settlement: each with its unit, its default and its environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser};
use process::settings::{Process, Services};

use crate::decide::delivery_schedule::DeliverySchedule;

/// Settles the log into Postgres, publishes events, and keeps the state of each sale in Redis.
#[derive(Debug, Clone, Parser)]
#[command(name = "settlement", version)]
pub struct Settings {
    /// The addresses of Postgres, Redis and Kafka.
    #[command(flatten)]
    pub services: Services,
    /// The settings of logs and threads.
    #[command(flatten)]
    pub process: Process,
    /// The settings of settlement alone.
    #[command(flatten)]
    pub settlement: Settlement,
    /// The delays after which deliveries advance automatically.
    #[command(flatten)]
    pub delivery: DeliverySchedule,
}

/// The settings of settlement alone.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settlement")]
pub struct Settlement {
    /// The address that serves /metrics and /health/*.
    #[arg(long, env = "SETTLEMENT_LISTEN", default_value = "127.0.0.1:8090", value_name = "HOST:PORT")]
    pub settlement_listen: SocketAddr,
    /// The number of partitions with which the topic `orders` is created; an existing topic must have as many.
    #[arg(long, env = "ORDERS_PARTITIONS", default_value_t = contract::topics::ORDERS_PARTITIONS_DEFAULT, value_name = "PARTITIONS", value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub orders_partitions: i32,
    /// The replication factor with which topics are created; 0: three, or the number of brokers if it is lower.
    #[arg(long, env = "KAFKA_REPLICATION_FACTOR", default_value_t = 0, value_name = "REPLICAS", value_parser = clap::value_parser!(i32).range(0..=9))]
    pub kafka_replication_factor: i32,
    /// The number of gathered orders at which a transaction begins.
    #[arg(long, env = "SETTLEMENT_BATCH_ORDERS_MAX", default_value_t = 4096, value_name = "ORDERS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch_orders_max: u32,
    /// The time after which a transaction begins once its first record was read, in milliseconds.
    #[arg(long, env = "SETTLEMENT_BATCH_WAIT_MS", default_value_t = 25, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub batch_wait_ms: u64,
    /// The age at which the relay produces an outbox entry again, in milliseconds.
    #[arg(long, env = "RELAY_AFTER_MS", default_value_t = 2000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub relay_after_ms: u64,
    /// The pause between two comparisons of Redis with Postgres, in milliseconds.
    #[arg(long, env = "RECONCILE_EVERY_MS", default_value_t = 2000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub reconcile_every_ms: u64,
    /// The time after which a proven, unchanged drift of its stock causes a rebuild of a sale, in milliseconds.
    #[arg(long, env = "RECONCILE_REPAIR_AFTER_MS", default_value_t = 10_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    pub reconcile_repair_after_ms: u64,
}

impl Settlement {
    /// Returns the time after which a gathered batch is settled.
    pub fn batch_wait(&self) -> Duration {
        Duration::from_millis(self.batch_wait_ms)
    }
    /// Returns the age at which an outbox entry is relayed.
    pub fn relay_after(&self) -> Duration {
        Duration::from_millis(self.relay_after_ms)
    }
    /// Returns the pause between two comparisons.
    pub fn reconcile_every(&self) -> Duration {
        Duration::from_millis(self.reconcile_every_ms)
    }
    /// Returns the time after which a drift causes a rebuild.
    pub fn reconcile_repair_after(&self) -> Duration {
        Duration::from_millis(self.reconcile_repair_after_ms)
    }
}

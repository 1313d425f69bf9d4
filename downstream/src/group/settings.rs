//! The settings of a consumer group, each with its unit, default and environment variable.

use std::time::Duration;

use clap::Args;

/// The settings of a consumer group.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Consumer group")]
pub struct GroupSettings {
    /// Orders of a partition that are processed concurrently.
    #[arg(long, env = "GROUP_CONCURRENCY", default_value_t = 16, value_name = "ORDERS", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub group_concurrency: u16,
    /// Delay between the first and the second try of an event, in milliseconds.
    #[arg(long, env = "GROUP_SECOND_TRY_AFTER_MS", default_value_t = 5000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub second_try_after_ms: u64,
    /// Delay between the second and the third (last) try of an event, in milliseconds.
    #[arg(long, env = "GROUP_THIRD_TRY_AFTER_MS", default_value_t = 120_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub third_try_after_ms: u64,
    /// Replication factor of the group's topics when they are created; 0: three, or the number of brokers if there
    /// are fewer.
    #[arg(long, env = "KAFKA_REPLICATION_FACTOR", default_value_t = 0, value_name = "REPLICAS", value_parser = clap::value_parser!(i32).range(0..=9))]
    pub kafka_replication_factor: i32,
}

impl GroupSettings {
    /// Returns the delay before the next try, after this number of tries.
    pub fn pause_after(&self, tries: u32) -> Duration {
        Duration::from_millis(if tries <= 1 { self.second_try_after_ms } else { self.third_try_after_ms })
    }
}

//! The settings of a group, each with its unit, default and environment variable.

use std::time::Duration;

use clap::Args;

/// How a group works through its events.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Consumer group")]
pub struct GroupSettings {
    /// Orders of one partition that are worked on at once.
    #[arg(long, env = "GROUP_CONCURRENCY", default_value_t = 16, value_name = "ORDERS", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub group_concurrency: u16,
    /// From an event's first try to its second, in milliseconds.
    #[arg(long, env = "GROUP_SECOND_TRY_AFTER_MS", default_value_t = 5000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub second_try_after_ms: u64,
    /// From an event's second try to its third and last, in milliseconds.
    #[arg(long, env = "GROUP_THIRD_TRY_AFTER_MS", default_value_t = 120_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub third_try_after_ms: u64,
    /// Replicas of the group's topics when they are created; 0: three, or as many as there are brokers.
    #[arg(long, env = "KAFKA_REPLICATION_FACTOR", default_value_t = 0, value_name = "REPLICAS", value_parser = clap::value_parser!(i32).range(0..=9))]
    pub kafka_replication_factor: i32,
}

impl GroupSettings {
    /// The pause after so many tries.
    pub fn pause_after(&self, tries: u32) -> Duration {
        Duration::from_millis(if tries <= 1 { self.second_try_after_ms } else { self.third_try_after_ms })
    }
}

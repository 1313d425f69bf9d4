//! The addresses of the services.

use clap::Args;

/// The addresses of Postgres, Redis and Kafka.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub struct Services {
    /// Postgres.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "postgres://flashsale@127.0.0.1:15432/flashsale",
        value_name = "URL"
    )]
    pub database_url: String,
    /// Redis.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1:16379", value_name = "URL")]
    pub redis_url: String,
    /// Kafka's bootstrap brokers, separated by commas.
    #[arg(long, env = "KAFKA_BROKERS", default_value = "127.0.0.1:19092", value_name = "HOST:PORT")]
    pub kafka_brokers: String,
    /// Prefix of every topic name, for several systems on one Kafka (tests).
    #[arg(long, env = "TOPIC_PREFIX", default_value = "", hide = true)]
    pub topic_prefix: String,
}

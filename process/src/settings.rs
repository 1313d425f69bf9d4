//! The settings that all programs share, each with its unit, default and environment variable.

use clap::Args;

/// The addresses of Kafka, Redis and Postgres.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Services")]
pub struct Services {
    /// Kafka brokers, as host:port separated by commas.
    #[arg(long, env = "KAFKA_BROKERS", default_value = "127.0.0.1:19092")]
    pub kafka_brokers: String,
    /// URL of the Redis that holds the stock.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1:16379")]
    pub redis_url: String,
    /// URL of the Postgres database.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "postgres://flashsale@127.0.0.1:15432/flashsale",
        hide_env_values = true
    )]
    pub database_url: String,
    /// Maximum number of connections to Postgres.
    #[arg(long, env = "DATABASE_POOL_SIZE", default_value_t = 8, value_name = "CONNECTIONS")]
    pub database_pool_size: usize,
    /// Prefix of the names of all topics and consumer groups, so that several systems can share a Kafka (tests).
    #[arg(long, env = "TOPIC_PREFIX", default_value = "", hide = true)]
    pub topic_prefix: String,
}

impl Services {
    /// Returns the prefixed name of a topic or consumer group.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }
}

/// How the process runs and logs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Process")]
pub struct Process {
    /// Format of the logs; auto: human on a terminal, JSON otherwise.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// Messages to log, e.g. `info,gateway=debug` (tracing's filter syntax).
    #[arg(long, env = "LOG_FILTER", default_value = "info")]
    pub log_filter: String,
    /// Number of worker threads; 0: one per core.
    #[arg(long, env = "RUNTIME_THREADS", default_value_t = 0, value_name = "THREADS")]
    pub runtime_threads: usize,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Human-readable on a terminal, JSON otherwise.
    Auto,
    /// One coloured line per message.
    Human,
    /// One JSON object per message.
    Json,
}

impl Process {
    /// Builds the runtime with the configured number of worker threads.
    pub fn runtime(&self) -> std::io::Result<tokio::runtime::Runtime> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if self.runtime_threads > 0 {
            builder.worker_threads(self.runtime_threads);
        }
        builder.enable_all().build()
    }
}

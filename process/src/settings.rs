//! Settings that both binaries take, each with its unit, default and environment variable.

use clap::Args;

/// Where the three services are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Services")]
pub struct Services {
    /// Kafka brokers, as host:port separated by commas.
    #[arg(long, env = "KAFKA_BROKERS", default_value = "127.0.0.1:19092")]
    pub kafka_brokers: String,
    /// The Redis that holds the stock.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1:16379")]
    pub redis_url: String,
    /// Postgres.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "postgres://flashsale@127.0.0.1:15432/flashsale",
        hide_env_values = true
    )]
    pub database_url: String,
    /// Connections to Postgres at most.
    #[arg(long, env = "DATABASE_POOL_SIZE", default_value_t = 8, value_name = "CONNECTIONS")]
    pub database_pool_size: usize,
    /// Stands before the name of every topic and consumer group: several systems on one Kafka (tests).
    #[arg(long, env = "TOPIC_PREFIX", default_value = "", hide = true)]
    pub topic_prefix: String,
}

impl Services {
    /// A topic's or a consumer group's name on this Kafka.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }
}

/// How the process runs and what it says.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Process")]
pub struct Process {
    /// Logs for a person or for a machine; auto: human on a terminal, JSON otherwise.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// Which messages to log, e.g. `info,gateway=debug` (tracing's filter syntax).
    #[arg(long, env = "LOG_FILTER", default_value = "info")]
    pub log_filter: String,
    /// Worker threads of the runtime; 0: one a core.
    #[arg(long, env = "RUNTIME_THREADS", default_value_t = 0, value_name = "THREADS")]
    pub runtime_threads: usize,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// One coloured line a message.
    Human,
    /// One JSON object a message.
    Json,
}

impl Process {
    /// The runtime with its configured number of workers.
    pub fn runtime(&self) -> std::io::Result<tokio::runtime::Runtime> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if self.runtime_threads > 0 {
            builder.worker_threads(self.runtime_threads);
        }
        builder.enable_all().build()
    }
}

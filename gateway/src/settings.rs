//! Every setting of the gateway, with its unit, default and environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use contract::webhook::Secret;
use process::settings::{Process, Services};

use crate::start_error::StartError;

/// Accepts orders: reserves stock in Redis, hands accepted orders off to Kafka, responds 202.
#[derive(Debug, Clone, Parser)]
#[command(name = "gateway", version, max_term_width = 100)]
pub struct Settings {
    /// The address on which storefronts connect.
    #[arg(long, env = "GATEWAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The address on which operators, Prometheus and health checks connect.
    #[arg(long, env = "GATEWAY_ADMIN_LISTEN", default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// Accepts unauthenticated development identities: `Authorization: Bearer dev:<customer>`, and `dev-admin` for
    /// the admin API. For development only: never enable it where strangers can connect.
    #[arg(long, env = "GATEWAY_DEV_AUTH", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", value_name = "BOOL")]
    pub dev_auth: bool,
    /// Serves the storefront under `/` of the public listener, and the API's documentation under `/docs`.
    #[arg(long, env = "GATEWAY_STOREFRONT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", value_name = "BOOL")]
    pub storefront: bool,
    /// Origins whose pages may call the public API (CORS), separated by commas; `*` for any.
    #[arg(long, env = "GATEWAY_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGINS")]
    pub cors_origins: Vec<String>,
    /// The gateway's name in its heartbeats, unique among the running gateways. Default: a random name.
    #[arg(long, env = "GATEWAY_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Timeout of one reserve script call, in milliseconds. After it the outcome counts as unknown.
    #[arg(long, env = "GATEWAY_RESERVE_TIMEOUT_MS", default_value_t = 1000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(50..=10_000))]
    pub reserve_timeout_ms: u64,
    /// Timeout of the log's acknowledgement, in milliseconds. After it the outcome counts as unknown.
    #[arg(long, env = "GATEWAY_HANDOFF_TIMEOUT_MS", default_value_t = 5000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(500..=60_000))]
    pub handoff_timeout_ms: u64,
    /// How long the producer lingers for further batches before it sends one to the log, in milliseconds.
    #[arg(long, env = "GATEWAY_HANDOFF_LINGER_MS", default_value_t = 0.0, value_name = "MS")]
    pub handoff_linger_ms: f64,
    /// How long the producer lingers for further commands (payment, cancel, refund) before it sends one to the log, in
    /// milliseconds. Each command is a record of its own; one produce request each would cost more than all else.
    #[arg(long, env = "GATEWAY_COMMAND_LINGER_MS", default_value_t = 2.0, value_name = "MS")]
    pub command_linger_ms: f64,
    /// Orders of one sale that may wait for the reserve script. Further orders are refused as `overloaded`.
    #[arg(long, env = "GATEWAY_QUEUE_ORDERS_MAX", default_value_t = 32_768, value_name = "ORDERS",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub queue_orders_max: u32,
    /// Largest lag of settlement, in seconds. Beyond it new orders are refused as `overloaded`.
    #[arg(long, env = "ADMISSION_LAG_MAX", default_value_t = 600, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub admission_lag_max: u64,
    /// The secret of the card provider's callback signatures: `whsec_` and the base64 of 24 to 64 bytes. Without it
    /// callbacks are not accepted.
    #[arg(long, env = "PAYMENT_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub payment_webhook_secret: Option<Secret>,
    /// Open streams of live updates (Server-Sent Events and WebSockets) at once. Further streams are refused as
    /// `overloaded`. Their connections do not count towards --connections-max.
    #[arg(long, env = "GATEWAY_LIVE_STREAMS_MAX", default_value_t = 20_000, value_name = "STREAMS")]
    pub live_streams_max: usize,
    /// Connections at once. Further connections wait to be accepted.
    #[arg(long, env = "GATEWAY_CONNECTIONS_MAX", default_value_t = 60_000, value_name = "CONNECTIONS")]
    pub connections_max: usize,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub services: Services,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: Process,
}

impl Settings {
    /// Checks that clients can identify themselves: development mode is the only way in this version.
    pub fn check_identity(&self) -> Result<(), StartError> {
        if self.dev_auth { Ok(()) } else { Err(StartError::NoIdentity) }
    }

    /// Returns the timeout of a reserve script call.
    pub fn reserve_timeout(&self) -> Duration {
        Duration::from_millis(self.reserve_timeout_ms)
    }
    /// Returns the largest lag of settlement.
    pub fn lag_max(&self) -> Duration {
        Duration::from_secs(self.admission_lag_max)
    }
}

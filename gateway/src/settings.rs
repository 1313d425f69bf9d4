//! Every setting of the gateway, with its unit, default and environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use contract::webhook::Secret;
use process::settings::{Process, Services};

use crate::start_error::StartError;

/// Sells: takes stock and duplicate-order locks in Redis, hands accepted orders to Kafka, answers 202.
#[derive(Debug, Clone, Parser)]
#[command(name = "gateway", version, max_term_width = 100)]
pub struct Settings {
    /// Where storefronts connect.
    #[arg(long, env = "GATEWAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where operators, Prometheus and health checks connect.
    #[arg(long, env = "GATEWAY_ADMIN_LISTEN", default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// Development identities: takes `Authorization: Bearer dev:<customer>` for anyone's word, and
    /// `dev-admin` for the admin API. Never where strangers connect.
    #[arg(long, env = "GATEWAY_DEV_AUTH", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", value_name = "BOOL")]
    pub dev_auth: bool,
    /// Serves the customer's page, the storefront, under `/` of the public listener, and the API's documents for
    /// people under `/docs`.
    #[arg(long, env = "GATEWAY_STOREFRONT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", value_name = "BOOL")]
    pub storefront: bool,
    /// Origins whose pages may call the public API (CORS), separated by commas; `*` for any.
    #[arg(long, env = "GATEWAY_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGINS")]
    pub cors_origins: Vec<String>,
    /// This gateway's name in its heartbeats, unique among running gateways; made up when not given.
    #[arg(long, env = "GATEWAY_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// How long one script call may take before its outcome counts as unknown, in milliseconds.
    #[arg(long, env = "GATEWAY_RESERVE_TIMEOUT_MS", default_value_t = 1000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(50..=10_000))]
    pub reserve_timeout_ms: u64,
    /// How long the log may take to acknowledge before the outcome counts as unknown, in milliseconds.
    #[arg(long, env = "GATEWAY_HANDOFF_TIMEOUT_MS", default_value_t = 5000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(500..=60_000))]
    pub handoff_timeout_ms: u64,
    /// How long a batch waits for company before it is sent to the log, in milliseconds.
    #[arg(long, env = "GATEWAY_HANDOFF_LINGER_MS", default_value_t = 0.0, value_name = "MS")]
    pub handoff_linger_ms: f64,
    /// How long a command (payment, cancel, refund) waits for company before it is sent to the log, in
    /// milliseconds: each is a record of its own, and a request to the log for each would cost more than all else.
    #[arg(long, env = "GATEWAY_COMMAND_LINGER_MS", default_value_t = 2.0, value_name = "MS")]
    pub command_linger_ms: f64,
    /// Orders of one sale that may wait for the script; further ones are refused as `overloaded`.
    #[arg(long, env = "GATEWAY_QUEUE_ORDERS_MAX", default_value_t = 32_768, value_name = "ORDERS",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub queue_orders_max: u32,
    /// New orders are refused as `overloaded` while settlement is further behind than this, in seconds.
    #[arg(long, env = "ADMISSION_LAG_MAX", default_value_t = 600, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub admission_lag_max: u64,
    /// What the card provider signs its callbacks with: `whsec_` and the base64 of 24 to 64 bytes. Without it
    /// callbacks are not taken.
    #[arg(long, env = "PAYMENT_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub payment_webhook_secret: Option<Secret>,
    /// Live updates (event streams and WebSockets) at once; further ones are refused as `overloaded`. Their
    /// connections come on top of --connections-max.
    #[arg(long, env = "GATEWAY_LIVE_STREAMS_MAX", default_value_t = 20_000, value_name = "STREAMS")]
    pub live_streams_max: usize,
    /// Connections at once; further ones wait to be accepted.
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

    /// The time-out of a script call.
    pub fn reserve_timeout(&self) -> Duration {
        Duration::from_millis(self.reserve_timeout_ms)
    }
    /// How far settlement may be behind.
    pub fn lag_max(&self) -> Duration {
        Duration::from_secs(self.admission_lag_max)
    }
}

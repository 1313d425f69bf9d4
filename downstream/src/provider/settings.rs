//! Every setting of the provider, with its unit, default and environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use contract::webhook::Secret;

use crate::tls::TlsSettings;

/// Simulates a card provider. Tokens: tok_approve, tok_decline, tok_timeout, tok_late, tok_twice, tok_lie.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Provider")]
pub struct ProviderSettings {
    /// Address that serves the API, /metrics and /health/*.
    #[arg(long, env = "PROVIDER_LISTEN", default_value = "127.0.0.1:8130", value_name = "HOST:PORT")]
    pub provider_listen: SocketAddr,
    /// File that stores the payments.
    #[arg(long, env = "PROVIDER_JOURNAL", default_value = "provider/payments.jsonl", value_name = "FILE")]
    pub provider_journal: PathBuf,
    /// Minimum latency of a request, in milliseconds.
    #[arg(long, env = "PROVIDER_LATENCY_MS", default_value_t = 20, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub provider_latency_ms: u64,
    /// Maximum additional latency of a request, evenly distributed, in milliseconds.
    #[arg(long, env = "PROVIDER_LATENCY_SPREAD_MS", default_value_t = 60, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub provider_latency_spread_ms: u64,
    /// Delay of late actions, in milliseconds: the decision of tok_late, the callback of tok_timeout, the second
    /// callback of tok_twice and tok_lie.
    #[arg(long, env = "PROVIDER_LATE_MS", default_value_t = 1500, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub provider_late_ms: u64,
    /// Secret that signs callbacks: `whsec_` and the base64 of 24 to 64 bytes. Without it, no callbacks are sent.
    #[arg(long, env = "PAYMENT_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub payment_webhook_secret: Option<Secret>,
    /// The settings of outbound TLS connections.
    #[command(flatten)]
    pub tls: TlsSettings,
}

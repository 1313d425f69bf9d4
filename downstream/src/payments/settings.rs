//! The home of every setting of the payments group: its unit, its default, its environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::group::GroupSettings;
use crate::tls::TlsSettings;

/// Takes and returns the money of card payments at the provider, and tells the log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payments")]
pub struct PaymentsSettings {
    /// Where /metrics and /health/* are served.
    #[arg(long, env = "PAYMENTS_LISTEN", default_value = "127.0.0.1:8100", value_name = "HOST:PORT")]
    pub payments_listen: SocketAddr,
    /// The card provider (http:// or https://).
    #[arg(long, env = "PROVIDER_URL", default_value = "http://127.0.0.1:8130", value_name = "URL")]
    pub provider_url: String,
    /// Where the provider is to tell results: `/v1/payments/callback` of a gateway. Without it, it is asked.
    #[arg(long, env = "PAYMENT_CALLBACK_URL", value_name = "URL")]
    pub payment_callback_url: Option<String>,
    /// After this long a call to the provider counts as not answered, in milliseconds.
    #[arg(long, env = "PROVIDER_TIMEOUT_MS", default_value_t = 3000, value_name = "MS", value_parser = clap::value_parser!(u64).range(50..=10_000))]
    pub provider_timeout_ms: u64,
    /// Between two sweeps over payments that are open for long, in milliseconds.
    #[arg(long, env = "PAYMENTS_SWEEP_EVERY_MS", default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub payments_sweep_every_ms: u64,
    /// For how long a payment must be open before the sweep looks after it, in milliseconds.
    #[arg(long, env = "PAYMENTS_SWEEP_AFTER_MS", default_value_t = 4000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub payments_sweep_after_ms: u64,
    /// Calls to others.
    #[command(flatten)]
    pub outgoing: TlsSettings,
    /// The consumer group.
    #[command(flatten)]
    pub group: GroupSettings,
}

impl PaymentsSettings {
    /// The limit of one call to the provider.
    pub fn provider_timeout(&self) -> Duration {
        Duration::from_millis(self.provider_timeout_ms)
    }
    /// When to sweep.
    pub fn pace(&self) -> super::sweep::SweepSchedule {
        super::sweep::SweepSchedule {
            every: Duration::from_millis(self.payments_sweep_every_ms),
            after: Duration::from_millis(self.payments_sweep_after_ms),
        }
    }
}

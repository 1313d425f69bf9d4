//! Every setting of the payments group, with its unit, default and environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::group::GroupSettings;
use crate::tls::TlsSettings;

/// Charges and refunds card payments at the provider, and appends the results to the log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payments")]
pub struct PaymentsSettings {
    /// Address that serves /metrics, /health/* and /dead-letters.
    #[arg(long, env = "PAYMENTS_LISTEN", default_value = "127.0.0.1:8100", value_name = "HOST:PORT")]
    pub payments_listen: SocketAddr,
    /// URL of the card provider (http:// or https://).
    #[arg(long, env = "PROVIDER_URL", default_value = "http://127.0.0.1:8130", value_name = "URL")]
    pub provider_url: String,
    /// URL for the provider's callbacks: `/v1/payments/callback` of a gateway. Without it, results are only polled.
    #[arg(long, env = "PAYMENT_CALLBACK_URL", value_name = "URL")]
    pub payment_callback_url: Option<String>,
    /// Time limit of a call to the provider, in milliseconds.
    #[arg(long, env = "PROVIDER_TIMEOUT_MS", default_value_t = 3000, value_name = "MS", value_parser = clap::value_parser!(u64).range(50..=10_000))]
    pub provider_timeout_ms: u64,
    /// Interval of the sweep over open payments, in milliseconds.
    #[arg(long, env = "PAYMENTS_SWEEP_EVERY_MS", default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub payments_sweep_every_ms: u64,
    /// Age from which the sweep handles an open payment, in milliseconds.
    #[arg(long, env = "PAYMENTS_SWEEP_AFTER_MS", default_value_t = 4000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub payments_sweep_after_ms: u64,
    /// The settings of outbound TLS connections.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// The settings of the consumer group.
    #[command(flatten)]
    pub group: GroupSettings,
}

impl PaymentsSettings {
    /// Returns the time limit of a call to the provider.
    pub fn provider_timeout(&self) -> Duration {
        Duration::from_millis(self.provider_timeout_ms)
    }
    /// Returns the schedule of the sweep.
    pub fn sweep_schedule(&self) -> super::sweep::SweepSchedule {
        super::sweep::SweepSchedule {
            every: Duration::from_millis(self.payments_sweep_every_ms),
            after: Duration::from_millis(self.payments_sweep_after_ms),
        }
    }
}

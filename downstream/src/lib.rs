//! What follows the events of orders: consumer groups, each a process of its own by a subcommand of one
//! binary.
//!
//! | module           | what it does                                                         |
//! |------------------|----------------------------------------------------------------------|
//! | [`settings`]     | the command line: what every part takes, and which part it is        |
//! | [`host`]         | what a part runs in: health, listener, tasks, an orderly end         |
//! | [`tls`]     | how others are called: TLS, and what is said of failures             |
//! | [`described`]    | what the metrics mean                                                |
//! | [`group`]        | a consumer group: order, tries, dead letters                         |
//! | [`analytics`]    | counts: funnel, revenue, deliveries                                  |
//! | [`notification`] | tells customers, by e-mail and webhook                               |
//! | [`payments`]     | takes and returns the money of card payments                         |
//! | [`provider`]     | the simulated card provider                                          |

pub mod analytics;
pub mod described;
pub mod group;
pub mod host;
pub mod notification;
pub mod payments;
pub mod provider;
pub mod settings;
pub mod tls;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use host::Host;
pub use settings::{Component, Settings};

/// Why a part cannot run at all. Missing services are no such reason: they are waited for.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The listener.
    #[error(transparent)]
    Listen(#[from] host::ListenError),
    /// The settings of the database pool.
    #[error(transparent)]
    Pool(#[from] process::postgres::PoolError),
    /// The consumer group.
    #[error(transparent)]
    Group(#[from] group::GroupError),
    /// The provider's journal.
    #[error(transparent)]
    Journal(#[from] provider::journal::JournalError),
    /// Nobody can be called.
    #[error(transparent)]
    Outgoing(#[from] tls::TlsError),
}

/// Runs one part until `shutdown`, and returns when everything that was begun is finished.
pub async fn run(
    settings: Settings,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    process::metric_help::register(described::METRICS);
    let host = Host::new(settings.services, metrics, shutdown);
    match settings.component {
        Component::Analytics(own) => analytics::run(&host, own).await?,
        Component::Notification(own) => notification::run(&host, own).await?,
        Component::Payments(own) => payments::run(&host, own).await?,
        Component::Provider(own) => provider::run(&host, own).await?,
    }
    host.finish().await;
    tracing::info!("stopped");
    Ok(())
}

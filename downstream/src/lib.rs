//! The components that follow the events of orders. Each is a subcommand of one binary and runs as a process of its
//! own; all but the provider are consumer groups.
//!
//! | module           | what it does                                                              |
//! |------------------|---------------------------------------------------------------------------|
//! | [`settings`]     | the command line: settings of all components, and the component           |
//! | [`host`]         | the environment of a component: health, listener, tasks, shutdown         |
//! | [`tls`]          | outbound TLS, and error texts of HTTP calls                               |
//! | [`group`]        | a consumer group: ordering, retries, dead letters                         |
//! | [`analytics`]    | aggregates orders: funnel, revenue, deliveries                            |
//! | [`notification`] | notifies customers by e-mail and webhook                                  |
//! | [`payments`]     | charges and refunds card payments                                         |
//! | [`provider`]     | the simulated card provider                                               |

pub mod analytics;
pub mod group;
pub mod host;
pub mod notification;
pub mod payments;
pub mod provider;
pub mod queries;
pub mod settings;
pub mod tls;

use metrics_exporter_prometheus::PrometheusHandle;
use process::supervisor::TaskEnded;
use tokio_util::sync::CancellationToken;

use group::GroupError;
use host::Host;
use provider::ProviderRunError;
pub use settings::{Component, Settings};

/// The reason why a component cannot run at all. A service that is down is not such a reason: the component waits.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A consumer group cannot run.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The provider cannot run.
    #[error(transparent)]
    Provider(#[from] ProviderRunError),
    /// A task has ended, and the component had to stop.
    #[error(transparent)]
    TaskEnded(#[from] TaskEnded),
}

/// Runs one component until `shutdown`, and returns when its running tasks are finished.
pub async fn run(
    settings: Settings,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    process::metric::register("downstream");
    let host = Host::new(settings.services, metrics, shutdown);
    match settings.component {
        Component::Analytics(own) => analytics::run(&host, own).await?,
        Component::Notification(own) => notification::run(&host, own).await?,
        Component::Payments(own) => payments::run(&host, own).await?,
        Component::Provider(own) => provider::run(&host, own).await?,
    }
    host.finish().await?;
    tracing::info!("the component has stopped");
    Ok(())
}

//! Runs the gateway: connect, spawn, serve, drain.

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::connect::connect;
use crate::drain::drain;
use crate::serve::{self, Listeners};
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::tasks;

/// Runs the gateway on these listeners until `stop`, then drains it.
pub async fn run(
    settings: Settings,
    listeners: Listeners,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> Result<(), StartError> {
    settings.check_identity()?;
    process::metric::register("gateway");
    let connections = connect(&settings, metrics)?;
    let tasks = tasks::spawn(&settings, &connections, &stop)?;
    tracing::info!(
        name = %connections.name, public = %listeners.public_address, admin = %listeners.admin_address,
        "gateway is listening"
    );
    let gateway = &connections.gateway;
    let admin_listener = serve::spawn_admin(gateway.clone(), listeners.admin, tasks.stop.clone());
    serve::public(gateway.clone(), listeners.public, settings.connections_max, stop).await;
    let supervisor = tasks.supervisor.clone();
    drain(connections, tasks, admin_listener).await;
    Ok(supervisor.result()?)
}

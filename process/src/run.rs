//! A program of ours, from its settings to its end.

use std::io;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::settings::Process;
use crate::telemetry::TelemetryError;
use crate::{shutdown, telemetry};

/// What still blocks a thread so long after the work has ended is left: a Kafka client may never close.
const LEAVE: Duration = Duration::from_secs(1);

/// Why a program ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E> {
    /// Logs or metrics.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Its threads.
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    /// Nobody could tell it to end.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// What it is for.
    #[error(transparent)]
    Work(E),
}

/// Starts logs, metrics and the runtime, and runs `work`, which ends soon after its token is cancelled: by a signal.
pub fn run<F, E>(
    settings: &Process,
    work: impl FnOnce(PrometheusHandle, CancellationToken) -> F,
) -> Result<(), RunError<E>>
where
    F: Future<Output = Result<(), E>>,
{
    telemetry::start_logs(settings)?;
    let metrics = telemetry::start_metrics()?;
    let runtime = settings.runtime().map_err(RunError::Runtime)?;
    let ended = runtime.block_on(async {
        let stop = shutdown::on_signals().map_err(RunError::Signals)?;
        work(metrics, stop).await.map_err(RunError::Work)
    });
    runtime.shutdown_timeout(LEAVE);
    ended
}

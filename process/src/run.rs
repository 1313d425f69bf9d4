//! The life of a program, from its settings to its end.

use std::io;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::settings::Process;
use crate::telemetry::TelemetryError;
use crate::{shutdown, telemetry};

/// How long blocking threads may take to end after the work. Then they are abandoned: a Kafka client may never close.
const THREADS_TIMEOUT: Duration = Duration::from_secs(1);

/// The error of a program that ended without a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E> {
    /// Logs or metrics could not be started.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The runtime could not be started.
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    /// Signal handlers could not be installed.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// The program's work failed.
    #[error(transparent)]
    Work(E),
}

/// Starts logs, metrics and the runtime, and runs `work`, which must end soon after a signal cancels its token.
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
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    ended
}

//! Logs and metrics. They start before everything that uses them.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::process_metrics::ProcessMetrics;
use crate::settings::{LogFormat, Process};

crate::metrics! {
    static BUILD_INFO: Gauge["version"] = "build_info", "1, labeled with the version of the program.";
}

/// The upper bounds of latency buckets, in seconds: fine around the objectives, coarse beyond.
const SECONDS: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The upper bounds of the buckets of batch sizes, in orders.
const ORDERS: [f64; 13] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 96.0, 128.0, 512.0, 1024.0, 2048.0, 5000.0];
/// The interval at which histograms are aggregated. Otherwise their memory grows between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// The error of telemetry that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `LOG_FILTER` is not a valid filter.
    #[error("LOG_FILTER: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process already has a recorder or subscriber.
    #[error("telemetry was started twice: {0}")]
    Twice(String),
}

/// Starts logging to standard error.
pub fn start_logs(process: &Process) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&process.log_filter)?;
    let human = match process.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if human {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    started.map_err(|error| TelemetryError::Twice(error.to_string()))
}

/// Installs the Prometheus recorder.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let started = builder().and_then(PrometheusBuilder::install_recorder);
    let handle = started.map_err(|error| TelemetryError::Twice(error.to_string()))?;
    crate::metric::register("process");
    BUILD_INFO.with([env!("CARGO_PKG_VERSION")]).set(1.0);
    Ok(handle)
}

/// Configures the recorder: histograms whose names end in `_seconds` use the buckets [`SECONDS`], the others
/// [`ORDERS`]. The latter is the default and not a second matcher, because prefix matchers take precedence over
/// suffix matchers.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets(&ORDERS)
}

/// Aggregates histograms and collects process metrics (`process_…`) periodically until `stop` is cancelled.
pub async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    let mut tick = tokio::time::interval(UPKEEP);
    let process_metrics = ProcessMetrics::default();
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        handle.run_upkeep();
        process_metrics.collect();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[allow(clippy::disallowed_macros)] // These metrics exist in this test alone.
    fn latencies_and_sizes_have_different_buckets() {
        let recorder = super::builder().expect("a builder").build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("some_seconds").record(0.003);
            metrics::histogram!("some_orders").record(100.0);
        });
        let text = recorder.handle().render();
        for line in [
            r#"some_seconds_bucket{le="0.0025"} 0"#,
            r#"some_seconds_bucket{le="0.005"} 1"#,
            r#"some_orders_bucket{le="96"} 0"#,
            r#"some_orders_bucket{le="128"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}

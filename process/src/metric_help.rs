//! Descriptions of metrics, for `/metrics` (`# HELP`) and for the reference that is generated from them. Each program
//! describes its own metrics; this module describes those that all programs have.

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only increases while the process runs.
    Counter,
    /// A number that increases and decreases.
    Gauge,
    /// A distribution, counted in buckets.
    Histogram,
}

/// The description of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The metric's name.
    pub name: &'static str,
    /// The metric's type.
    pub kind: Kind,
    /// The names of the labels, separated by commas.
    pub labels: &'static str,
    /// The meaning, with the unit.
    pub help: &'static str,
}

/// Builds a list of [`Metric`]s.
#[macro_export]
macro_rules! metrics_list {
    ($($kind:ident $name:literal [$labels:literal] $help:literal;)*) => {
        &[$($crate::metric_help::Metric {
            name: $name,
            kind: $crate::metric_help::Kind::$kind,
            labels: $labels,
            help: $help,
        }),*]
    };
}

/// The metrics of every process.
pub const COMMON_METRICS: &[Metric] = metrics_list! {
    Gauge "build_info" ["version"] "Always 1; the label is the version of the program.";
    Gauge "dependency_up" ["dependency"] "Whether the dependency is up (1) or down (0).";
    Counter "kafka_clients_replaced_total" ["client"] "Kafka clients that stalled or failed and were replaced.";
    Gauge "process_cpu_seconds_total" [""] "CPU time used since the process started, in seconds.";
    Gauge "process_max_fds" [""] "Maximum number of open file descriptors.";
    Gauge "process_open_fds" [""] "Number of open file descriptors.";
    Gauge "process_resident_memory_bytes" [""] "Resident memory, in bytes.";
    Gauge "process_start_time_seconds" [""] "Start time of the process, in seconds since 1970.";
    Gauge "process_threads" [""] "Number of threads.";
};

/// Registers the descriptions with the metrics recorder.
pub fn register(metrics: &[Metric]) {
    for metric in metrics {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

//! What each metric means, for whoever reads `/metrics` (as `# HELP`) and for the reference that is written from it.
//! Each program lists its own; these are those that all have.

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// A metric, as it is described.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Its labels, separated by commas.
    pub labels: &'static str,
    /// What it means, with its unit.
    pub help: &'static str,
}

/// Makes one entry of a list.
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

/// Those of every process.
pub const COMMON_METRICS: &[Metric] = metrics_list! {
    Gauge "build_info" ["version"] "1, with the version of the program.";
    Gauge "dependency_up" ["dependency"] "1 while what the process depends on can be used, 0 while it cannot.";
    Counter "kafka_clients_replaced_total" ["client"] "Kafka clients that heard nothing after an outage and were replaced.";
    Gauge "process_cpu_seconds_total" [""] "Processor time used since the start, in seconds.";
    Gauge "process_max_fds" [""] "Files and connections that the process may have open.";
    Gauge "process_open_fds" [""] "Files and connections that it has open.";
    Gauge "process_resident_memory_bytes" [""] "Memory in use, in bytes.";
    Gauge "process_start_time_seconds" [""] "When it started, in seconds since 1970.";
    Gauge "process_threads" [""] "Threads.";
};

/// Tells the recorder what these mean.
pub fn register(metrics: &[Metric]) {
    for metric in metrics {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

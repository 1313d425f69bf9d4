//! The reference of metrics, generated from the lists from which the programs write `# HELP` on `/metrics`.

use std::fmt::Write as _;

use process::metric_help::{COMMON_METRICS, Kind, Metric};

use super::{cell, head};

const INTRODUCTION: &str = "\
Every internal listener serves its metrics in Prometheus' format at `/metrics`: the gateway's admin listener, settlement,
payments, notification, analytics and the provider. A histogram `x` has `x_bucket{le}`, `x_sum` and `x_count`; durations are
in seconds. The [runbooks](../runbooks/README.md) describe how to respond to alerts on them.
";

pub(super) fn page() -> String {
    let mut page = head("Metrics", "the programs' lists of metrics") + INTRODUCTION;
    for (title, metrics) in [
        ("All programs", COMMON_METRICS),
        ("`gateway`", gateway::described::METRICS),
        ("`settlement`", settlement::described::METRICS),
        ("`downstream`", downstream::metric_help::METRICS),
    ] {
        table(&mut page, title, metrics);
    }
    page
}

fn table(page: &mut String, title: &str, metrics: &[Metric]) {
    let _ = write!(page, "\n## {title}\n\n| metric | kind | labels | |\n|---|---|---|---|\n");
    for Metric { name, kind, labels, help } in metrics {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> =
            labels.split(',').filter(|label| !label.is_empty()).map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {} |", labels.join(", "), cell(help));
    }
}

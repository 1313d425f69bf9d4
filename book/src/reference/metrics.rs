//! Metrics, from the lists that the programs describe them by on `/metrics`.

use std::fmt::Write as _;

use process::metric_help::{COMMON_METRICS, Kind, Metric};

use super::{cell, head};

const INTRODUCTION: &str = "\
Prometheus' format, at `/metrics` of every listener that is not for customers: the gateway's admin listener, settlement's,
and those of payments, notification, analytics and the provider. A histogram `x` has `x_bucket{le}`, `x_sum` and `x_count`;
seconds count in buckets of seconds. What to do about an alert on them is told in the [runbooks](../runbooks/README.md).
";

pub(super) fn page() -> String {
    let mut page = head("Metrics", "the lists by which the programs describe them") + INTRODUCTION;
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

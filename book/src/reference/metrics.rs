//! The reference of metrics, generated from their declarations in the sources.

use std::fmt::Write as _;

use process::metric::{Declaration, Kind, declarations};

use super::{cell, head};

const INTRODUCTION: &str = "\
Every internal listener serves its metrics in Prometheus' format at `/metrics`: the gateway's admin listener, settlement,
payments, notification, analytics and the provider. A histogram `x` has `x_bucket{le}`, `x_sum` and `x_count`; durations are
in seconds. The [runbooks](../runbooks/README.md) describe how to respond to alerts on them.
";

pub(super) fn page() -> String {
    let mut page = head("Metrics", "the declarations of the metrics in the sources") + INTRODUCTION;
    for (title, krate) in [
        ("All programs", "process"),
        ("`gateway`", "gateway"),
        ("`settlement`", "settlement"),
        ("`downstream`", "downstream"),
    ] {
        table(&mut page, title, &declarations(krate));
    }
    page
}

fn table(page: &mut String, title: &str, metrics: &[&Declaration]) {
    let _ = write!(page, "\n## {title}\n\n| metric | kind | labels | |\n|---|---|---|---|\n");
    for Declaration { name, kind, labels, help, .. } in metrics {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {} |", labels.join(", "), cell(help));
    }
}

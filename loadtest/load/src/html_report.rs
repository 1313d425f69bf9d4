//! The HTML report of an open-loop run: one file that loads nothing else.

use std::io;
use std::path::Path;

use customers::latency::{Latencies, Second, Series, ms};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use terminal::thousands;

use crate::plot::{self, Axis, Curve, Scale};

/// The contents of the page.
#[derive(Debug)]
#[allow(missing_docs)] // the names are the description
pub struct Page<'a> {
    pub title: &'a str,
    pub subtitle: String,
    /// The large figures at the top: value and caption.
    pub figures: Vec<(String, String)>,
    pub accepted: &'a Latencies,
    pub refused: &'a Latencies,
    pub series: &'a Series,
    /// The number of responses by status and code.
    pub outcomes: Vec<(String, u64)>,
}

const STYLE: &str = r#"
:root{color-scheme:light dark;--bg:#fbfbf9;--ink:#1d2126;--soft:#6b7280;--rule:#e3e4e0;--card:#fff;--a:#2563a8;--b:#c2562f;--c:#4d8b57;--d:#8a63a8}
@media(prefers-color-scheme:dark){:root{--bg:#15181c;--ink:#e6e7e4;--soft:#9aa1ab;--rule:#2c3138;--card:#1b1f24;--a:#7db3ec;--b:#eb9a72;--c:#8ccb95;--d:#c4a3de}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:920px;margin:0 auto;padding:40px 24px 64px}h1{font-size:26px;font-weight:600;margin:0 0 4px;letter-spacing:-.01em}
.sub{color:var(--soft);margin:0 0 28px}.figures{display:flex;flex-wrap:wrap;gap:1px;background:var(--rule);border:1px solid var(--rule);border-radius:8px;overflow:hidden;margin-bottom:28px}
.figures div{flex:1 1 104px;background:var(--card);padding:14px 16px}.figures b{display:block;font-size:21px;font-weight:600;font-variant-numeric:tabular-nums}.figures span{color:var(--soft);font-size:13px}
figure{margin:0 0 28px}figcaption{display:flex;justify-content:space-between;flex-wrap:wrap;gap:8px;font-weight:600;margin-bottom:8px}
.legend{font-weight:400;font-size:13px;color:var(--soft)}.legend span{margin-left:14px}.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:5px;vertical-align:middle}
svg{width:100%;height:auto;background:var(--card);border:1px solid var(--rule);border-radius:8px}svg text{fill:var(--soft);font:11px system-ui,sans-serif;font-variant-numeric:tabular-nums}
.grid{stroke:var(--rule);stroke-width:1}polyline{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:7px 10px;border-bottom:1px solid var(--rule)}th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:500;font-size:13px}
h2{font-size:17px;font-weight:600;margin:32px 0 10px}footer{color:var(--soft);font-size:13px;margin-top:32px}
"#;

/// The percentiles of the ticks; the axis is logarithmic in 1 / (1 - p).
const PERCENTILES: [(f64, &str); 6] =
    [(0.0, "0"), (90.0, "90"), (99.0, "99"), (99.9, "99.9"), (99.99, "99.99"), (99.999, "99.999")];

/// Writes the page to a file.
pub fn write(path: &Path, page: &Page<'_>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, render(page).into_string())
}

/// Renders the page.
pub fn render(page: &Page<'_>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (page.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (page.title) }
                    p.sub { (page.subtitle) }
                    div.figures {
                        @for (value, caption) in &page.figures { div { b { (value) } span { (caption) } } }
                    }
                    (percentile_plot(page))
                    (latency_plot(page.series))
                    (rate_plot(page.series))
                    (latency_table(page))
                    (outcome_table(page))
                    footer {
                        "Open loop: latency is counted from the scheduled time of sending, so a stall counts for every \
                         request that it delays. The timer's resolution of 1 ms is included."
                    }
                }
            }
        }
    }
}

/// Returns the position of a percentile on its axis.
fn nines(percentile: f64) -> f64 {
    1.0 / (1.0 - percentile / 100.0)
}

fn percentile_plot(page: &Page<'_>) -> Markup {
    let curve = |name, colour, latencies: &Latencies| {
        // The curve ends at the percentile that a single observation represents.
        let last = nines(PERCENTILES[PERCENTILES.len() - 1].0).min(latencies.count().max(1) as f64);
        let points = (0..=240).map(|step| {
            let position = last.powf(f64::from(step) / 240.0);
            (position, latencies.ms_at(100.0 * (1.0 - 1.0 / position)))
        });
        let points = if latencies.count() == 0 { Vec::new() } else { points.collect() };
        Curve { name, colour, points }
    };
    let curves = [curve("accepted (202)", "--a", page.accepted), curve("refused", "--b", page.refused)];
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, y)| *y));
    let y = Axis { scale: Scale::log_over(values), title: "milliseconds", labels: None };
    let x = Axis {
        scale: Scale::Log(1.0, nines(99.999)),
        title: "percentile",
        labels: Some(PERCENTILES.iter().map(|(p, label)| (nines(*p), (*label).to_owned())).collect()),
    };
    plot::render("Latency by percentile", &x, &y, &curves)
}

/// Returns the points of a value over time.
fn over_time(series: &Series, value: impl Fn(&Second) -> f64) -> Vec<(f64, f64)> {
    series.0.iter().enumerate().map(|(n, second)| (n as f64 + 0.5, value(second))).collect()
}

fn time_axis(series: &Series) -> Axis<'static> {
    Axis {
        scale: Scale::Linear(series.0.len().max(1) as f64),
        title: "seconds since the start",
        labels: None,
    }
}

fn latency_plot(series: &Series) -> Markup {
    let curves = [
        Curve { name: "p50", colour: "--a", points: over_time(series, |s| s.latencies.ms_at(50.0)) },
        Curve { name: "p99", colour: "--b", points: over_time(series, |s| s.latencies.ms_at(99.0)) },
        Curve { name: "max", colour: "--d", points: over_time(series, |s| s.latencies.ms_max()) },
    ];
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, y)| *y));
    let y = Axis { scale: Scale::log_over(values), title: "milliseconds", labels: None };
    plot::render("Latency over time", &time_axis(series), &y, &curves)
}

fn rate_plot(series: &Series) -> Markup {
    let curves = [
        Curve { name: "accepted", colour: "--c", points: over_time(series, |s| s.accepted as f64) },
        Curve { name: "refused", colour: "--b", points: over_time(series, |s| s.refused as f64) },
        Curve { name: "failed", colour: "--d", points: over_time(series, |s| s.failed as f64) },
    ];
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, y)| *y));
    let y = Axis { scale: Scale::linear_over(values), title: "responses per second", labels: None };
    plot::render("Responses over time", &time_axis(series), &y, &curves)
}

fn latency_table(page: &Page<'_>) -> Markup {
    html! {
        h2 { "Latency in milliseconds" }
        table {
            tr { @for title in ["", "Count", "p50", "p90", "p99", "p99.9", "max"] { th { (title) } } }
            @for (name, latencies) in [("Accepted (202)", page.accepted), ("Refused", page.refused)] {
                tr {
                    td { (name) }
                    td { (thousands(latencies.count())) }
                    @for percentile in [50.0, 90.0, 99.0, 99.9] { td { (ms(latencies.ms_at(percentile))) } }
                    td { (ms(latencies.ms_max())) }
                }
            }
        }
    }
}

fn outcome_table(page: &Page<'_>) -> Markup {
    html! {
        h2 { "Responses" }
        table {
            tr { th { "Outcome" } th { "Count" } }
            @for (outcome, count) in &page.outcomes { tr { td { (outcome) } td { (thousands(*count)) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_page_loads_nothing_else_and_escapes_its_contents() {
        let mut accepted = Latencies::default();
        let mut series = Series::default();
        for n in 0..2000u64 {
            accepted.record(Duration::from_micros(500 + n));
            let second = series.second_at(Duration::from_millis(n));
            second.accepted += 1;
            second.latencies.record(Duration::from_micros(500 + n));
        }
        let page = Page {
            title: "Open loop <s>",
            subtitle: "1000/s".into(),
            figures: vec![("1,000".into(), "accepted".into())],
            accepted: &accepted,
            refused: &Latencies::default(),
            series: &series,
            outcomes: vec![("202".into(), 2000)],
        };
        let html = render(&page).into_string();
        assert!(html.contains("Open loop &lt;s&gt;") && !html.contains("Open loop <s>"));
        assert_eq!(html.matches("<svg").count(), 3);
        for outside in ["src=", "href=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}

//! The HTML report of a surge: one file without anything beside it.

use std::io;
use std::path::Path;

use crate::plot::{Axis, Curve, Scale, lines};
use customers::latency::{Latencies, Series, ms};
use terminal::thousands;

/// What the page tells.
#[derive(Debug)]
#[allow(missing_docs)] // the names say it
pub struct Page<'a> {
    pub title: &'a str,
    pub subtitle: String,
    /// Large figures at the top: value and caption.
    pub figures: Vec<(String, String)>,
    pub accepted: &'a Latencies,
    pub refused: &'a Latencies,
    pub series: &'a Series,
    /// Answers by status and code.
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

/// Percentiles drawn; the axis is logarithmic in 1 / (1 - p).
const PERCENTILES: [(f64, &str); 6] =
    [(0.0, "0"), (90.0, "90"), (99.0, "99"), (99.9, "99.9"), (99.99, "99.99"), (99.999, "99.999")];

/// Writes the page.
pub fn write(path: &Path, page: &Page<'_>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, render(page))
}

/// The page as text.
pub fn render(page: &Page<'_>) -> String {
    let figures: String = page
        .figures
        .iter()
        .map(|(value, caption)| {
            format!("<div><b>{}</b><span>{}</span></div>", escape(value), escape(caption))
        })
        .collect();
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><main><h1>{title}</h1><p class=\"sub\">{}</p><div class=\"figures\">{figures}</div>",
        escape(&page.subtitle),
        title = escape(page.title),
    );
    html.push_str(&percentile_plot(page));
    html.push_str(&latency_plot(page.series));
    html.push_str(&rate_plot(page.series));
    html.push_str(&latency_table(page));
    html.push_str("<h2>Answers</h2><table><tr><th>Outcome<th>Count</tr>");
    for (outcome, count) in &page.outcomes {
        html.push_str(&format!("<tr><td>{}<td>{}</tr>", escape(outcome), thousands(*count)));
    }
    html.push_str(
        "</table><footer>Open loop: latency is counted from the intended time of sending, so a stall counts \
         for every request that it delays. The timer's resolution of 1 ms is part of it.</footer></main></html>",
    );
    html
}

fn nines(percentile: f64) -> f64 {
    1.0 / (1.0 - percentile / 100.0)
}

fn percentile_plot(page: &Page<'_>) -> String {
    let curve = |name, colour, latencies: &Latencies| {
        // Up to the percentile that one observation stands for.
        let last = nines(PERCENTILES[PERCENTILES.len() - 1].0).min(latencies.count().max(1) as f64);
        let points = (0..=240).map(|step| {
            let place = last.powf(f64::from(step) / 240.0);
            (place, latencies.ms_at(100.0 * (1.0 - 1.0 / place)))
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
    lines("Latency by percentile", &x, &y, &curves)
}

fn over_time(series: &Series, of: impl Fn(&customers::latency::Second) -> f64) -> Vec<(f64, f64)> {
    series.0.iter().enumerate().map(|(second, at)| (second as f64 + 0.5, of(at))).collect()
}

fn time_axis(series: &Series) -> Axis<'static> {
    Axis {
        scale: Scale::Linear(series.0.len().max(1) as f64),
        title: "seconds since the start",
        labels: None,
    }
}

fn latency_plot(series: &Series) -> String {
    let curves = [
        Curve { name: "p50", colour: "--a", points: over_time(series, |s| s.latencies.ms_at(50.0)) },
        Curve { name: "p99", colour: "--b", points: over_time(series, |s| s.latencies.ms_at(99.0)) },
        Curve { name: "max", colour: "--d", points: over_time(series, |s| s.latencies.ms_max()) },
    ];
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, y)| *y));
    let y = Axis { scale: Scale::log_over(values), title: "milliseconds", labels: None };
    lines("Latency over time", &time_axis(series), &y, &curves)
}

fn rate_plot(series: &Series) -> String {
    let curves = [
        Curve { name: "accepted", colour: "--c", points: over_time(series, |s| s.accepted as f64) },
        Curve { name: "refused", colour: "--b", points: over_time(series, |s| s.refused as f64) },
        Curve { name: "failed", colour: "--d", points: over_time(series, |s| s.failed as f64) },
    ];
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|(_, y)| *y));
    let y = Axis { scale: Scale::linear_over(values), title: "answers a second", labels: None };
    lines("Answers over time", &time_axis(series), &y, &curves)
}

fn latency_table(page: &Page<'_>) -> String {
    let row = |name: &str, latencies: &Latencies| {
        let cells: String =
            [50.0, 90.0, 99.0, 99.9].iter().map(|p| format!("<td>{}", ms(latencies.ms_at(*p)))).collect();
        format!(
            "<tr><td>{name}<td>{}{cells}<td>{}</tr>",
            thousands(latencies.count()),
            ms(latencies.ms_max())
        )
    };
    format!(
        "<h2>Latency in milliseconds</h2><table><tr><th><th>Count<th>p50<th>p90<th>p99<th>p99.9<th>max</tr>{}{}</table>",
        row("Accepted (202)", page.accepted),
        row("Refused", page.refused)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_page_stands_alone_and_escapes_what_it_is_given() {
        let mut accepted = Latencies::default();
        let mut series = Series::default();
        for n in 0..2000u64 {
            accepted.record(Duration::from_micros(500 + n));
            let second = series.at(Duration::from_millis(n));
            second.accepted += 1;
            second.latencies.record(Duration::from_micros(500 + n));
        }
        let page = Page {
            title: "Surge <s>",
            subtitle: "1000/s".into(),
            figures: vec![("1,000".into(), "accepted".into())],
            accepted: &accepted,
            refused: &Latencies::default(),
            series: &series,
            outcomes: vec![("202".into(), 2000)],
        };
        let html = render(&page);
        assert!(html.contains("Surge &lt;s&gt;") && !html.contains("Surge <s>"));
        assert_eq!(html.matches("<svg").count(), 3);
        for outside in ["src=", "href=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}

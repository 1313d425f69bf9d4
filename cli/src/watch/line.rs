//! A snapshot as one line of text or of JSON.

use serde_json::{Value, json};
use terminal::thousands;

use super::rates::Rates;
use crate::overview::{Overview, Snapshot};

/// Renders the line for people.
pub(super) fn text(overview: &Overview, rates: Rates) -> String {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "–".into(), |rate| thousands(rate.round() as u64));
    let count = |count: Option<u64>| count.map_or_else(|| "–".into(), thousands);
    let mut line = format!(
        "{}  accepted {}/s  refused {}/s  settled {}/s  lag {} records {} s  outbox {}  dead letters {}",
        clock(overview),
        rate(rates.accepted_per_second),
        rate(rates.refused_per_second),
        rate(rates.settled_per_second),
        count(overview.lag_records()),
        overview.lag_seconds().map_or_else(|| "–".into(), |seconds| format!("{seconds:.1}")),
        thousands(overview.outbox_entries()),
        count(overview.dead_letters),
    );
    for sale in &overview.sales {
        line += &format!(
            "  | {} {}{}",
            sale.sale_id,
            sale.state.as_str(),
            if sale.ready { "" } else { " (not ready)" }
        );
        for item in &sale.items {
            let left = item.available.map_or_else(|| "–".into(), |units| units.to_string());
            let total = item.total.map_or_else(|| "∞".into(), thousands);
            line += &format!(" {}:{left}/{total}", item.sku);
        }
    }
    for dependency in overview.dependencies.iter().filter(|dependency| !dependency.up) {
        line += &format!("  | {} is down", dependency.name);
    }
    line
}

/// Returns the line for programs: the whole snapshot and the rates.
pub(super) fn json(snapshot: &Snapshot, rates: Rates) -> Value {
    json!({ "time": snapshot.raw["time"], "rates": rates, "overview": snapshot.raw })
}

/// Returns the time of a snapshot, in UTC.
pub(super) fn clock(overview: &Overview) -> String {
    let text = overview.time.to_string();
    text.get(11..19).unwrap_or_default().to_owned()
}

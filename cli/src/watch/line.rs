//! A look as one line, for logs and for programs.

use serde_json::{Value, json};
use terminal::thousands;

use super::rates::Rates;
use crate::overview::{Look, Overview};

/// For people.
pub(super) fn text(seen: &Overview, rates: Rates) -> String {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "–".into(), |rate| thousands(rate.round() as u64));
    let count = |count: Option<u64>| count.map_or_else(|| "–".into(), thousands);
    let mut line = format!(
        "{}  accepted {}/s  refused {}/s  settled {}/s  lag {} records {} s  outbox {}  dead letters {}",
        clock(seen),
        rate(rates.accepted_per_second),
        rate(rates.refused_per_second),
        rate(rates.settled_per_second),
        count(seen.lag_records()),
        seen.lag_seconds().map_or_else(|| "–".into(), |seconds| format!("{seconds:.1}")),
        thousands(seen.outbox_entries()),
        count(seen.dead_letters),
    );
    for sale in &seen.sales {
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
    for dependency in seen.dependencies.iter().filter(|dependency| !dependency.up) {
        line += &format!("  | {} is missing", dependency.name);
    }
    line
}

/// For programs: the whole look, and the rates.
pub(super) fn json(look: &Look, rates: Rates) -> Value {
    json!({ "time": look.told["time"], "rates": rates, "overview": look.told })
}

/// The time of a look, in UTC.
pub(super) fn clock(seen: &Overview) -> String {
    let text = seen.time.to_string();
    text.get(11..19).unwrap_or_default().to_owned()
}

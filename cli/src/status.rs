//! Readiness of the gateway and its dependencies, and the state of all sales.

use serde_json::{Value, json};
use terminal::{Style, Table, heading, styled, thousands};

use crate::api::Api;
use crate::failure::Failure;
use crate::output::OutputFormat;
use crate::overview::{Item, Overview, Snapshot};

/// Runs `flashsale status`.
pub(crate) async fn show(api: &Api, output: OutputFormat) -> Result<(), Failure> {
    let health = api.health().await?;
    let ready = health["ready"] == true;
    // A gateway that cannot report the sales still reports which dependency is down.
    let snapshot = match Snapshot::fetch(api, None).await {
        Ok(snapshot) => Ok(snapshot),
        Err(Failure::Refused(problem)) if problem.status >= 500 => Err(Failure::Refused(problem)),
        Err(failure) => return Err(failure),
    };
    let overview = snapshot.as_ref().map_or(&Value::Null, |snapshot| &snapshot.raw);
    let answer = json!({
        "admin_url": api.url(), "ready": ready, "dependencies": health["dependencies"], "overview": overview,
    });
    output.print(&answer, || {
        let state = if ready { styled(Style::Good, "ready") } else { styled(Style::Bad, "not ready") };
        let mut text = format!("gateway {}: {state}\n", api.url());
        text += &heading("Dependencies\n");
        text += &dependencies(&health["dependencies"]).to_string();
        text += &match &snapshot {
            Ok(snapshot) => sales(&snapshot.overview),
            Err(failure) => format!("\n  {failure}\n"),
        };
        text
    })?;
    match ready {
        true => Ok(()),
        false => Err(Failure::NotReady(format!("the gateway at {} is not ready", api.url()))),
    }
}

fn dependencies(reported: &Value) -> Table {
    let mut table = Table::new(&["dependency", "state", "reason"]);
    for (name, dependency) in reported.as_object().into_iter().flatten() {
        let state = match (dependency["up"] == true, dependency["required"] == true) {
            (true, _) => "up",
            (false, true) => "down",
            (false, false) => "down, not required",
        };
        table.row([name.as_str(), state, dependency["why"].as_str().unwrap_or_default()]);
    }
    table
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "–".into(), thousands)
}

fn sales(overview: &Overview) -> String {
    let mut table =
        Table::new(&["sale", "title", "state", "ready", "total", "left", "held", "sold", "orders settled"]);
    for sale in &overview.sales {
        // The sum of the limited items; if one is unknown, so is the sum.
        let limited = || sale.items.iter().filter(|item| item.total.is_some());
        let units = |of: fn(&Item) -> Option<i64>| {
            let sum: Option<i64> = limited().map(of).sum();
            sum.map_or_else(|| "–".into(), |units| units.to_string())
        };
        table.row([
            sale.sale_id.to_string(),
            sale.title.clone(),
            sale.state.as_str().into(),
            if sale.ready { "yes" } else { "no" }.into(),
            thousands(limited().filter_map(|item| item.total).sum()),
            units(|item| item.available),
            units(|item| item.held),
            units(|item| item.sold),
            count(sale.orders_settled),
        ]);
    }
    let seconds = overview.lag_seconds().map_or_else(|| "–".into(), |seconds| format!("{seconds:.1}"));
    let alarm = overview.dead_letters.is_some_and(|n| n > 0) || overview.guard_trips.is_some_and(|n| n > 0);
    let letters =
        format!("dead letters {}, guard trips {}", count(overview.dead_letters), count(overview.guard_trips));
    let letters = if alarm { styled(Style::Bad, &letters) } else { letters };
    let behind = format!(
        "  lag {} records, {seconds} s; outbox {}; {letters}\n",
        count(overview.lag_records()),
        thousands(overview.outbox_entries()),
    );
    format!("{}{behind}{}{table}", heading("Settlement\n"), heading("Sales\n"))
}

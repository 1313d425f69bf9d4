//! Whether everything is there: what the gateway says of itself, and how the sales stand.

use serde_json::{Value, json};
use terminal::{Style, Table, heading, styled, thousands};

use crate::api::Api;
use crate::failure::Failure;
use crate::output::Reader;
use crate::overview::{Item, Look, Overview};

/// `flashsale status`.
pub(crate) async fn show(api: &Api, reader: Reader) -> Result<(), Failure> {
    let health = api.health().await?;
    let ready = health["ready"] == true;
    // A gateway that cannot tell of the sales still tells what is missing.
    let look = match Look::take(api, None).await {
        Ok(look) => Ok(look),
        Err(Failure::Refused(problem)) if problem.status >= 500 => Err(Failure::Refused(problem)),
        Err(failure) => return Err(failure),
    };
    let overview = look.as_ref().map_or(&Value::Null, |look| &look.told);
    let answer = json!({
        "admin_url": api.url(), "ready": ready, "dependencies": health["dependencies"], "overview": overview,
    });
    reader.told(&answer, || {
        let state = if ready { styled(Style::Good, "ready") } else { styled(Style::Bad, "not ready") };
        let mut text = format!("gateway {}: {state}\n", api.url());
        text += &heading("Needs\n");
        text += &needs(&health["dependencies"]).to_string();
        text += &match &look {
            Ok(look) => sales(&look.seen),
            Err(failure) => format!("\n  {failure}\n"),
        };
        text
    })?;
    match ready {
        true => Ok(()),
        false => Err(Failure::NotReady(format!("the gateway at {} is not ready", api.url()))),
    }
}

fn needs(dependencies: &Value) -> Table {
    let mut table = Table::new(&["what", "state", "why"]);
    for (name, dependency) in dependencies.as_object().into_iter().flatten() {
        let state = match (dependency["up"] == true, dependency["required"] == true) {
            (true, _) => "there",
            (false, true) => "missing",
            (false, false) => "missing, not required",
        };
        table.row([name.as_str(), state, dependency["why"].as_str().unwrap_or_default()]);
    }
    table
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "–".into(), thousands)
}

fn sales(seen: &Overview) -> String {
    let mut table =
        Table::new(&["sale", "title", "state", "ready", "total", "left", "held", "sold", "orders settled"]);
    for sale in &seen.sales {
        // Of limited items; what cannot be told of one cannot be told of all.
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
    let seconds = seen.lag_seconds().map_or_else(|| "–".into(), |seconds| format!("{seconds:.1}"));
    let alarm = seen.dead_letters.is_some_and(|n| n > 0) || seen.guard_trips.is_some_and(|n| n > 0);
    let letters =
        format!("dead letters {}, guard trips {}", count(seen.dead_letters), count(seen.guard_trips));
    let letters = if alarm { styled(Style::Bad, &letters) } else { letters };
    let behind = format!(
        "  settlement is {} records, {seconds} s behind; outbox {}; {letters}\n",
        count(seen.lag_records()),
        thousands(seen.outbox_entries()),
    );
    format!("{}{behind}{}{table}", heading("Work\n"), heading("Sales\n"))
}

//! Whether everything is there: what the gateway says of itself, and how the sales stand.

use serde_json::{Value, json};
use terminal::{Style, Table, heading, styled};

use crate::api::{Api, Call};
use crate::failure::Failure;
use crate::output::Reader;

/// `flashsale status`.
pub(crate) async fn show(api: &Api, reader: Reader) -> Result<(), Failure> {
    let health = api.health().await?;
    let sales = api.call::<Value>(Call::get(&["admin", "v1", "sales"])).await;
    let ready = health["ready"] == true;
    // A gateway whose Postgres is away still tells what is missing.
    let (sales, unseen) = match sales {
        Ok(mut body) => (body["sales"].take(), None),
        Err(Failure::Refused(problem)) if problem.status >= 500 => {
            (Value::Null, Some(Failure::Refused(problem)))
        }
        Err(failure) => return Err(failure),
    };
    let answer = json!({ "admin_url": api.url(), "ready": ready, "dependencies": health["dependencies"], "sales": sales });
    reader.told(&answer, || {
        let state = if ready { styled(Style::Good, "ready") } else { styled(Style::Bad, "not ready") };
        let mut text = format!("gateway {}: {state}\n", api.url());
        text += &heading("Needs\n");
        text += &needs(&health["dependencies"]).to_string();
        text += &heading("Sales\n");
        match &unseen {
            None => text += &crate::sale::table(&sales),
            Some(failure) => text += &format!("  {failure}\n"),
        }
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

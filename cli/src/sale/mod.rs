//! Commands for a sale.

mod actions;
mod apply;
mod difference;
mod show;

use contract::ids::SaleId;
use serde_json::{Map, Value};

use crate::api::{Api, Call};
use crate::arguments::{ConfirmedActionOptions, Sale};
use crate::failure::Failure;
use crate::output::OutputFormat;

/// Runs one of the commands `flashsale sale …`.
pub(crate) async fn run(command: Sale, api: &Api, output: OutputFormat) -> Result<(), Failure> {
    match command {
        Sale::Apply { file, sale, dry_run } => apply::apply(api, output, &file, sale, dry_run).await,
        Sale::List => show::list(api, output).await,
        Sale::Show { sale, definition } => show::show(api, output, &sale, definition).await,
        Sale::Template => show::template(output),
        Sale::Open(options) => actions::run(api, output, actions::Action::Open, &options).await,
        Sale::Pause(options) => actions::run(api, output, actions::Action::Pause, &options).await,
        Sale::Resume(options) => actions::run(api, output, actions::Action::Resume, &options).await,
        Sale::Close(options) => actions::run_confirmed(api, output, actions::Action::Close, &options).await,
        Sale::Rebuild(options) => {
            actions::run_confirmed(api, output, actions::Action::Rebuild, &options).await
        }
        Sale::Report { sale } => show::report(api, output, &sale).await,
    }
}

/// Fetches all sales: their terms and their state.
async fn fetch_all(api: &Api) -> Result<Value, Failure> {
    api.call(Call::get(&["admin", "v1", "sales"])).await
}

/// Fetches a sale, if it exists.
pub(crate) async fn find(api: &Api, sale: &SaleId) -> Result<Option<Map<String, Value>>, Failure> {
    let mut body = fetch_all(api).await?;
    let sales = body["sales"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let found = sales.into_iter().find(|sale_body| sale_body["sale_id"] == sale.as_str());
    Ok(found.and_then(|sale_body| match sale_body {
        Value::Object(members) => Some(members),
        _ => None,
    }))
}

/// Fetches a sale; it is an error if it does not exist.
pub(crate) async fn fetch(api: &Api, sale: &SaleId) -> Result<Map<String, Value>, Failure> {
    find(api, sale).await?.ok_or_else(|| not_found(sale))
}

pub(crate) fn not_found(sale: &SaleId) -> Failure {
    Failure::NotFound {
        what: format!("sale {sale} does not exist"),
        hint: "`flashsale sale list` lists all sales".into(),
    }
}

/// Rebuilds a sale after confirmation, and waits until it is done.
pub(crate) async fn rebuild(api: &Api, options: &ConfirmedActionOptions) -> Result<(), Failure> {
    actions::confirm(actions::Action::Rebuild, options)?;
    actions::perform(api, actions::Action::Rebuild, &options.action).await.map(drop)
}

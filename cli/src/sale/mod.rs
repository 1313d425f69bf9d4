//! What operators do with a sale.

mod apply;
mod difference;
mod moves;
mod show;

use contract::ids::SaleId;
use serde_json::{Map, Value};

use crate::api::{Api, Call};
use crate::arguments::{Sale, Sure};
use crate::failure::Failure;
use crate::output::Reader;

/// Runs one of the commands `flashsale sale …`.
pub(crate) async fn run(command: Sale, api: &Api, reader: Reader) -> Result<(), Failure> {
    match command {
        Sale::Apply { file, sale, dry_run } => apply::apply(api, reader, &file, sale, dry_run).await,
        Sale::List => show::list(api, reader).await,
        Sale::Show { sale, definition } => show::one(api, reader, &sale, definition).await,
        Sale::Template => show::template(reader),
        Sale::Open(act) => moves::act(api, reader, moves::Move::Open, &act).await,
        Sale::Pause(act) => moves::act(api, reader, moves::Move::Pause, &act).await,
        Sale::Resume(act) => moves::act(api, reader, moves::Move::Resume, &act).await,
        Sale::Close(sure) => moves::asked(api, reader, moves::Move::Close, &sure).await,
        Sale::Rebuild(sure) => moves::asked(api, reader, moves::Move::Rebuild, &sure).await,
        Sale::Report { sale } => show::report(api, reader, &sale).await,
    }
}

/// All sales, as the operator defined them, with what became of them.
async fn all(api: &Api) -> Result<Value, Failure> {
    api.call(Call::get(&["admin", "v1", "sales"])).await
}

/// One sale, if there is one of this name.
pub(crate) async fn find(api: &Api, sale: &SaleId) -> Result<Option<Map<String, Value>>, Failure> {
    let mut body = all(api).await?;
    let sales = body["sales"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let found = sales.into_iter().find(|shown| shown["sale_id"] == sale.as_str());
    Ok(found.and_then(|shown| match shown {
        Value::Object(members) => Some(members),
        _ => None,
    }))
}

/// One sale, which must be there.
pub(crate) async fn existing(api: &Api, sale: &SaleId) -> Result<Map<String, Value>, Failure> {
    find(api, sale).await?.ok_or_else(|| unknown(sale))
}

fn unknown(sale: &SaleId) -> Failure {
    Failure::NotFound {
        what: format!("there is no sale {sale}"),
        hint: "`flashsale sale list` shows those there are".into(),
    }
}

/// Has a sale rebuilt, if that is confirmed, and waits for it.
pub(crate) async fn rebuilt(api: &Api, sure: &Sure) -> Result<(), Failure> {
    moves::confirm(moves::Move::Rebuild, sure)?;
    moves::done(api, moves::Move::Rebuild, &sure.act).await.map(drop)
}

//! What a customer has with us.

use contract::money::Currency;
use contract::problem::Code;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::parameter;
use crate::authenticate;
use crate::respond::{self, Answer, Problem};
use crate::run::Gateway;

const WALLET: &str = include_str!("../../queries/wallet.sql");
/// Entries that are told, the newest ones.
const ENTRIES_MAX: i64 = 100;

/// `GET /v1/wallet?currency=`: the wallet that moved last unless a currency is named; an empty one for whoever
/// has none.
pub(super) async fn show(gateway: &Gateway, head: &Parts) -> Result<Answer, Problem> {
    let customer = authenticate::customer(&head.headers)?;
    let currency = parameter(head, "currency")?;
    if currency.as_deref().is_some_and(|code| Currency::parse(code).is_none()) {
        let why = "The parameter currency is an ISO 4217 code such as KRW.";
        return Err(Problem::because(Code::MalformedRequest, why));
    }
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(WALLET).await?;
    let row = client.query_opt(&statement, &[&customer.as_str(), &currency, &ENTRIES_MAX]).await?;
    let body = match row {
        Some(row) => json!({
            "balance": row.get::<_, i64>("balance"),
            "currency": row.get::<_, &str>("currency"),
            "entries": row.get::<_, Value>("entries"),
        }),
        None => {
            json!({ "balance": 0, "currency": currency.as_deref().unwrap_or(Currency::KRW.as_str()), "entries": [] })
        }
    };
    Ok(respond::json(StatusCode::OK, &body))
}

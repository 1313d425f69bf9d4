//! What a customer has with us.

use contract::ids::OrderId;
use contract::money::Currency;
use contract::problem::Code;
use contract::timestamp::Timestamp;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use hyper::http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Json;

use super::order_response::corrupt;
use crate::http::authenticate;
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::query_string::parameter;
use crate::http::response::Response;

const WALLET: &str = include_str!("../../queries/wallet.sql");
/// Entries that are told, the newest ones.
const ENTRIES_MAX: i64 = 100;

/// What a customer has with us, in one currency.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Wallet")]
pub(crate) struct WalletBody {
    /// In the minor unit.
    balance: u64,
    currency: Currency,
    /// The newest movements, at most 100, newest first.
    entries: Vec<WalletEntry>,
}

/// One movement of a wallet.
#[derive(Serialize, Deserialize, JsonSchema)]
struct WalletEntry {
    /// In the minor unit; below 0: taken out.
    amount: i64,
    reason: EntryReason,
    /// The order that it belongs to; `null` for credits.
    order_id: Option<OrderId>,
    at: Timestamp,
}

/// Why a wallet moved.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum EntryReason {
    /// An operator put money in.
    Credit,
    /// An order was paid.
    Payment,
    /// An order's money came back.
    Refund,
}

/// `GET /v1/wallet?currency=`: the wallet that moved last unless a currency is named; an empty one for whoever
/// has none.
pub(crate) async fn show(pool: &Pool, head: &Parts) -> Result<Response, Problem> {
    let customer = authenticate::customer(&head.headers)?;
    let why = "The parameter currency is an ISO 4217 code such as KRW.";
    let bad = || Problem::because(Code::MalformedRequest, why);
    let asked = parameter(head, "currency")?;
    let currency = asked.as_deref().map(|code| Currency::parse(code).ok_or_else(bad)).transpose()?;
    let client = pool.get().await?;
    let statement = client.prepare_cached(WALLET).await?;
    let row = client.query_opt(&statement, &[&customer.as_str(), &asked, &ENTRIES_MAX]).await?;
    let body = match row {
        Some(row) => WalletBody {
            balance: row.get::<_, i64>("balance") as u64, // Postgres keeps it from 0 on
            currency: Currency::parse(row.get("currency")).ok_or_else(|| corrupt("currency"))?,
            entries: row.try_get::<_, Json<_>>("entries").map_err(|_| corrupt("entries"))?.0,
        },
        None => WalletBody { balance: 0, currency: currency.unwrap_or(Currency::KRW), entries: vec![] },
    };
    Ok(json(StatusCode::OK, &body))
}

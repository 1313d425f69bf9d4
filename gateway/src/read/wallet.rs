//! A customer's wallet.

use contract::ids::OrderId;
use contract::money::Currency;
use contract::problem::Code;
use contract::timestamp::Timestamp;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use hyper::http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stored_json::decode;
use crate::http::authenticate;
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::query_string::parameter;
use crate::http::response::Response;
use crate::queries::SelectWallet;

/// The maximum number of entries in the response, the newest ones.
const ENTRIES_MAX: i64 = 100;

/// A customer's balance and newest entries in one currency.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Wallet")]
pub(crate) struct WalletBody {
    /// The balance, in the minor unit.
    balance: u64,
    currency: Currency,
    /// The newest entries, at most 100, newest first.
    entries: Vec<WalletEntry>,
}

/// A change of a wallet's balance.
#[derive(Serialize, Deserialize, JsonSchema)]
struct WalletEntry {
    /// The amount in the minor unit; negative if it was withdrawn.
    amount: i64,
    reason: EntryReason,
    /// The order of the payment or refund; `null` for credits.
    order_id: Option<OrderId>,
    at: Timestamp,
}

/// The reason of a wallet entry.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum EntryReason {
    /// An operator credited the wallet.
    Credit,
    /// An order was paid.
    Payment,
    /// An order was refunded.
    Refund,
}

/// `GET /v1/wallet?currency=`: without a currency, the wallet with the newest entry; an empty wallet if the customer
/// has none.
pub(crate) async fn show(pool: &Pool, head: &Parts) -> Result<Response, Problem> {
    let customer = authenticate::customer(&head.headers)?;
    let why = "The parameter currency is an ISO 4217 code such as KRW.";
    let bad = || Problem::because(Code::MalformedRequest, why);
    let requested = parameter(head, "currency")?;
    let currency = requested.as_deref().map(|code| Currency::parse(code).ok_or_else(bad)).transpose()?;
    let client = pool.get().await?;
    let query = SelectWallet { entries_max: ENTRIES_MAX, customer_id: &customer, in_currency: currency };
    let body = match query.fetch(&client).await? {
        Some(row) => WalletBody {
            balance: row.balance as u64, // Postgres keeps it from 0 on
            currency: row.currency,
            entries: decode(&row.entries, "entries")?,
        },
        None => WalletBody { balance: 0, currency: currency.unwrap_or(Currency::KRW), entries: vec![] },
    };
    Ok(json(StatusCode::OK, &body))
}

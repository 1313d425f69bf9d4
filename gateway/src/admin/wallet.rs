//! Credits to a customer's wallet by an operator, once per Idempotency-Key.

use contract::ids::CustomerId;
use contract::money::{AMOUNT_MAX, Currency};
use contract::problem::Code;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::request_body;
use crate::http::response::Response;
use crate::queries::{CreditWallet, SelectBookedCredit};

/// A credit to a customer's wallet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credit {
    /// The amount, in the minor unit.
    #[schemars(range(min = 1, max = AMOUNT_MAX))]
    #[serde(deserialize_with = "contract::number::whole")]
    amount: i64,
    currency: Currency,
}

/// The credited amount and the new balance of a wallet.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Credited<'a> {
    #[schemars(with = "CustomerId")]
    customer_id: &'a str,
    /// The amount, in the minor unit.
    amount: i64,
    currency: Currency,
    /// The balance, in the minor unit.
    balance: i64,
}

/// Handles `POST /admin/v1/wallets/{customer}/credit`.
pub(crate) async fn credit(
    pool: &Pool,
    customer: &str,
    head: &Parts,
    body: Incoming,
) -> Result<Response, Problem> {
    let customer = CustomerId::parse(customer).map_err(|_| Problem::from(Code::NotFound))?;
    let key = request_body::idempotency_key(&head.headers)?;
    let body = request_body::read_json(&head.headers, body, request_body::BYTES_MAX).await?;
    let Credit { amount, currency } = request_body::parse(&body)?;
    if !(1..=AMOUNT_MAX as i64).contains(&amount) {
        return Err(Problem::because(
            Code::InvalidAmount,
            format!("The amount must be from 1 to {AMOUNT_MAX}."),
        ));
    }
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let key = key.as_str();
    let credit = CreditWallet { customer_id: &customer, currency, amount, idempotency_key: key };
    let new = credit.execute(&transaction).await? > 0;
    let row = SelectBookedCredit { customer_id: &customer, idempotency_key: key }.fetch(&transaction).await?;
    let balance = row.balance;
    if (row.amount, row.currency) != (amount, currency) {
        return Err(Code::IdempotencyKeyReused.into());
    }
    // The limit leaves room for refunds, which settlement could not refuse if they overflowed.
    if new && balance > AMOUNT_MAX as i64 {
        return Err(Problem::because(
            Code::InvalidAmount,
            format!("The balance of a wallet must not exceed {AMOUNT_MAX}."),
        ));
    }
    transaction.commit().await?;
    let body = Credited { customer_id: customer.as_str(), amount, currency, balance };
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &body))
}

//! Commands that change customers' balances.

use reqwest::Method;
use serde_json::{Value, json};
use terminal::thousands;
use uuid::Uuid;

use crate::api::{Api, Call, Idempotency};
use crate::arguments::Wallet;
use crate::failure::Failure;
use crate::output::OutputFormat;

/// Runs one of the commands `flashsale wallet …`.
pub(crate) async fn run(command: Wallet, api: &Api, output: OutputFormat) -> Result<(), Failure> {
    let Wallet::Credit { customer, amount, currency, key } = command;
    let key = key.unwrap_or_else(|| {
        let key = format!("cli-{}", Uuid::new_v4());
        // Printed before the request, so that an interrupted user has it.
        eprintln!("key {key} (if there is no response, repeat with --key {key})");
        key
    });
    let path = ["admin", "v1", "wallets", customer.as_str(), "credit"];
    let call = Call::new(Method::POST, &path, Idempotency::Idempotent)
        .key(&key)
        .body(json!({ "amount": amount, "currency": currency }));
    let mut response: Value = api.call(call).await?;
    response["key"] = key.into();
    output.print(&response, || {
        let balance = response["balance"].as_u64().map(thousands).unwrap_or_default();
        format!("{customer}: credited {} {currency}; the balance is {balance}\n", thousands(amount))
    })
}

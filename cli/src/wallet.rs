//! Customers' balances.

use reqwest::Method;
use serde_json::{Value, json};
use terminal::thousands;
use uuid::Uuid;

use crate::api::{Api, Call, Repeat};
use crate::arguments::Wallet;
use crate::failure::Failure;
use crate::output::Reader;

/// Runs one of the commands `flashsale wallet …`.
pub(crate) async fn run(command: Wallet, api: &Api, reader: Reader) -> Result<(), Failure> {
    let Wallet::Credit { customer, amount, currency, key } = command;
    let key = key.unwrap_or_else(|| {
        let key = format!("cli-{}", Uuid::new_v4());
        // Before anything is sent: whoever is interrupted has it.
        eprintln!("key {key} (repeat with --key {key} if there is no answer)");
        key
    });
    let path = ["admin", "v1", "wallets", customer.as_str(), "credit"];
    let call = Call::new(Method::POST, &path, Repeat::Harmless)
        .key(&key)
        .body(json!({ "amount": amount, "currency": currency }));
    let mut told: Value = api.call(call).await?;
    told["key"] = key.into();
    reader.told(&told, || {
        let balance = told["balance"].as_u64().map(thousands).unwrap_or_default();
        format!("{customer}: {} {currency} credited, the balance is {balance}\n", thousands(amount))
    })
}

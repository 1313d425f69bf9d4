//! What all customers of goose have in common: its settings, an order with its entry in the journal, calls
//! with an identity.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use contract::order::OrderRequest;
use goose::config::GooseConfiguration;
use goose::goose::GooseResponse;
use goose::prelude::*;
use serde::Serialize;

use crate::answer::Answer;
use crate::journal::{Class, Entry, Journal, Sent, now_us};
use crate::shop::ATTEMPTS_MAX;

/// Longest run.
pub(crate) const RUN_TIME_MAX: Duration = Duration::from_secs(3600);

/// Goose's settings: closed loop, all users within a second, an HTML report.
pub(crate) fn configuration(
    gateway_url: &str,
    users: u64,
    run_time: Duration,
    report: &Path,
) -> anyhow::Result<GooseConfiguration> {
    anyhow::ensure!(run_time <= RUN_TIME_MAX, "--run-time is 1h at most");
    if let Some(folder) = report.parent() {
        std::fs::create_dir_all(folder).context("the report's folder")?;
    }
    let seconds = run_time.as_secs().max(1);
    let report = report.to_str().context("the report's name is not UTF-8")?;
    let words = [
        "--host".to_owned(),
        gateway_url.to_owned(),
        "--users".into(),
        users.to_string(),
        // All of them within a second: it is a rush.
        "--increase-rate".into(),
        users.to_string(),
        "--run-time".into(),
        format!("{seconds}s"),
        "--report-file".into(),
        report.to_owned(),
        "--timeout".into(),
        "15".into(),
        "--no-telnet".into(),
        "--no-websocket".into(),
        "--no-print-metrics".into(),
        "--no-reset-metrics".into(),
        // Goose takes every 4xx for an error, and would list each promised refusal.
        "--no-error-summary".into(),
        "--quiet".into(),
    ];
    GooseConfiguration::parse_args_default(&words).context("goose's settings")
}

/// What an order is placed with.
#[derive(Debug, Clone)]
pub(crate) struct Placing<'a> {
    /// Where each attempt is written down.
    pub(crate) journal: &'a Journal,
    /// The sale.
    pub(crate) sale: &'a str,
    /// For the journal.
    pub(crate) gateway: &'a str,
    /// The customer, and the key.
    pub(crate) name: &'a str,
    /// The body.
    pub(crate) order: &'a OrderRequest,
}

/// Orders, with the same key until there is a definite answer.
pub(crate) async fn place(
    user: &mut GooseUser,
    placing: Placing<'_>,
) -> Result<Answer, Box<TransactionError>> {
    let mut answer = Answer::none();
    for _ in 0..ATTEMPTS_MAX {
        answer = attempt(user, &placing).await?;
        if !answer.wants_retry() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(answer.retry_after_seconds.unwrap_or(1).into())).await;
    }
    Ok(answer)
}

async fn attempt(user: &mut GooseUser, placing: &Placing<'_>) -> Result<Answer, Box<TransactionError>> {
    let path = format!("/v1/sales/{}/orders", placing.sale);
    let builder = user
        .get_request_builder(&GooseMethod::Post, &path)?
        .bearer_auth(format!("dev:{}", placing.name))
        .header("Idempotency-Key", placing.name)
        .json(placing.order);
    let request = GooseRequest::builder()
        .method(GooseMethod::Post)
        .path(path.as_str())
        .name("/v1/sales/{sale}/orders")
        .set_request_builder(builder)
        .build();
    let sent_us = now_us();
    let response = user.request(request).await?;
    let mut request = response.request.clone();
    let answer = read(response).await;
    let sent = Sent {
        sale: placing.sale,
        customer: placing.name,
        key: Some(placing.name),
        gateway: placing.gateway,
        class: Class::Plain,
        order: Some(placing.order),
        sent_us,
    };
    placing.journal.write(Entry::new(&sent, &answer));
    // A refusal that the interface promises is no failure of the server.
    if (400..500).contains(&answer.status) && answer.status != 429 {
        request.error.clear();
        user.set_success(&mut request)?;
    }
    Ok(answer)
}

/// Reads an answer to an order or a command.
pub(crate) async fn read(response: GooseResponse) -> Answer {
    let Ok(response) = response.response else { return Answer::none() };
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let replayed = header("idempotency-replayed") == Some("true");
    let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
    match response.bytes().await {
        Ok(body) => Answer::parse(status, replayed, retry_after, &body),
        Err(_) => Answer::none(),
    }
}

/// One call of this customer. `name`: what goose counts it under.
pub(crate) async fn call(
    user: &mut GooseUser,
    method: GooseMethod,
    path: &str,
    name: &str,
    customer: &str,
    body: Option<&impl Serialize>,
) -> Result<GooseResponse, Box<TransactionError>> {
    let mut builder = user.get_request_builder(&method, path)?.bearer_auth(format!("dev:{customer}"));
    if let Some(body) = body {
        builder = builder.json(body);
    }
    let request =
        GooseRequest::builder().method(method).path(path).name(name).set_request_builder(builder).build();
    user.request(request).await
}

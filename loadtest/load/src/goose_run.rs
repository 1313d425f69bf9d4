//! What all customers of goose have in common: its settings, what they share while it runs, an order with its
//! entry in the journal, calls with an identity.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use contract::order::OrderRequest;
use goose::config::GooseConfiguration;
use goose::goose::GooseResponse;
use goose::prelude::*;
use serde::Serialize;

use customers::answer::Answer;
use customers::journal::{Class, Entry, Journal, Sent, now_us};
use customers::request;
use customers::shop::ATTEMPTS_MAX;
use terminal::thousands;

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

/// Goose takes plain functions as transactions, so what all users share stands in a static: this.
pub(crate) struct Shared<T>(Mutex<Option<Arc<T>>>);

impl<T> Shared<T> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }
    /// A run begins, or (`None`) has ended.
    pub(crate) fn set(&self, shared: Option<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = shared.map(Arc::new);
    }
    /// That of the run.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The sale that a run's customers order from, one unit each, and where each attempt is written down.
#[derive(Debug)]
pub(crate) struct Stall {
    /// The sale.
    pub(crate) sale: String,
    /// What they order.
    pub(crate) sku: String,
    /// For the journal.
    pub(crate) gateway: String,
    /// Begins the customers' names.
    pub(crate) run: String,
    /// How many have come.
    pub(crate) customers: AtomicU64,
    /// What they were told.
    pub(crate) journal: Journal,
}

impl Stall {
    /// The name of another customer.
    pub(crate) fn next_customer(&self) -> String {
        format!("{}-{}", self.run, self.customers.fetch_add(1, Ordering::Relaxed))
    }

    /// Looks at the sale.
    pub(crate) async fn look(&self, user: &mut GooseUser) -> TransactionResult {
        user.get_named(&format!("/v1/sales/{}", self.sale), "/v1/sales/{sale}").await?;
        Ok(())
    }

    /// Orders, with the same key until there is a definite answer. Returns it, and where the order is, if it
    /// was accepted.
    pub(crate) async fn order(
        &self,
        user: &mut GooseUser,
        customer: &str,
    ) -> Result<(Answer, Option<String>), Box<TransactionError>> {
        let order = request::body(&[(&self.sku, 1)]);
        let mut answer = Answer::none();
        for _ in 0..ATTEMPTS_MAX {
            answer = attempt(user, self, customer, &order).await?;
            if !answer.wants_retry() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(answer.retry_after_seconds.unwrap_or(1).into())).await;
        }
        let id = answer.order_id.filter(|_| answer.is_accepted());
        let path = id.map(|id| format!("/v1/sales/{}/orders/{id}", self.sale));
        Ok((answer, path))
    }
}

/// Lets customers come, and prints what goose measured.
pub(crate) async fn attack(configuration: GooseConfiguration, scenario: Scenario) -> anyhow::Result<()> {
    let attack = GooseAttack::initialize_with_config(configuration)?.register_scenario(scenario);
    print!("{}", attack.execute().await?);
    Ok(())
}

/// Says where everything is.
pub(crate) fn tell(sale: &str, report: &Path, journal: &Path, answers: u64) {
    println!("  report   {}", report.display());
    println!("  journal  {} ({} answers)", journal.display(), thousands(answers));
    println!("  check    ./dev load check --sale {sale} --journal {}", journal.display());
}

async fn attempt(
    user: &mut GooseUser,
    stall: &Stall,
    customer: &str,
    order: &OrderRequest,
) -> Result<Answer, Box<TransactionError>> {
    let path = format!("/v1/sales/{}/orders", stall.sale);
    let builder = user
        .get_request_builder(&GooseMethod::Post, &path)?
        .bearer_auth(format!("dev:{customer}"))
        .header("Idempotency-Key", customer)
        .json(order);
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
        sale: &stall.sale,
        customer,
        key: Some(customer),
        gateway: &stall.gateway,
        class: Class::Plain,
        order: Some(order),
        sent_us,
    };
    stall.journal.write(Entry::new(&sent, &answer));
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

//! The common part of all goose scenarios: the arguments, goose's configuration, the state that users share,
//! orders with their journal entries, and calls with an identity.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use contract::order::OrderRequest;
use customers::customer_client::ATTEMPTS_MAX;
use customers::journal::{Class, Entry, Journal, SentRequest, now_us};
use customers::request;
use customers::response::Response;
use customers::settings::Programs;
use customers::stack;
use goose::config::GooseConfiguration;
use goose::goose::GooseResponse;
use goose::prelude::*;
use parking_lot::Mutex;
use serde::Serialize;
use terminal::thousands;

/// The longest run.
const RUN_TIME_MAX: Duration = Duration::from_secs(3600);

/// The arguments of all goose scenarios.
#[derive(Debug, Args)]
pub struct GooseArguments {
    /// Concurrent customers; another customer follows each one that has finished.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000), value_name = "USERS")]
    pub users: u64,
    /// Output file of goose's HTML report [default: <command>.html in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Output file of the journal, for `check` [default: <command>-journal.jsonl in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Addresses of the programs.
    #[command(flatten)]
    pub programs: Programs,
}

impl GooseArguments {
    /// Returns the paths of the report and of the journal.
    pub(crate) fn output_paths(&self, command: &str) -> (PathBuf, PathBuf) {
        (
            stack::output_path(self.report.as_deref(), &format!("{command}.html")),
            stack::output_path(self.journal.as_deref(), &format!("{command}-journal.jsonl")),
        )
    }

    /// Returns goose's configuration: a closed loop, all users started within a second, and an HTML report.
    pub(crate) fn configuration(
        &self,
        run_time: Duration,
        report: &Path,
    ) -> anyhow::Result<GooseConfiguration> {
        anyhow::ensure!(run_time <= RUN_TIME_MAX, "--run-time is 1h at most");
        if let Some(folder) = report.parent() {
            std::fs::create_dir_all(folder).context("the report's folder")?;
        }
        let (users, seconds) = (self.users.to_string(), format!("{}s", run_time.as_secs().max(1)));
        let report = report.to_str().context("the report's path is not UTF-8")?;
        let options = ["--host", &self.programs.gateway_url, "--users", &users, "--increase-rate", &users];
        let more = ["--run-time", &seconds, "--report-file", report, "--timeout", "15"];
        let flags = [
            "--no-telnet",
            "--no-websocket",
            "--no-print-metrics",
            "--no-reset-metrics",
            // Goose counts every 4xx as an error, and would list each refusal that the interface promises.
            "--no-error-summary",
            "--quiet",
        ];
        let arguments: Vec<&str> = options.into_iter().chain(more).chain(flags).collect();
        GooseConfiguration::parse_args_default(&arguments).context("goose's configuration")
    }
}

/// The state of a run. Goose accepts only plain functions as transactions, so the state that all users share
/// is a static.
pub(crate) struct RunState<T>(Mutex<Option<Arc<T>>>);

impl<T> RunState<T> {
    /// Creates an empty state.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Sets the state at the start of a run, and clears it with `None` at the end.
    pub(crate) fn set(&self, state: Option<T>) {
        *self.0.lock() = state.map(Arc::new);
    }

    /// Returns the state of the current run.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        self.0.lock().clone()
    }
}

/// The sale from which the customers of a run order one unit each, with the journal of every attempt.
#[derive(Debug)]
pub(crate) struct SaleTarget {
    /// The sale's id.
    pub(crate) sale: String,
    /// The SKU that customers order.
    pub(crate) sku: String,
    /// The name of the gateway in the journal.
    pub(crate) gateway: String,
    /// The prefix of the customers' ids.
    pub(crate) customer_prefix: String,
    /// The number of customers so far.
    pub(crate) customers: AtomicU64,
    /// The journal of every attempt.
    pub(crate) journal: Journal,
}

impl SaleTarget {
    /// Returns the id of a new customer.
    pub(crate) fn next_customer(&self) -> String {
        format!("{}-{}", self.customer_prefix, self.customers.fetch_add(1, Ordering::Relaxed))
    }

    /// Fetches the sale.
    pub(crate) async fn browse(&self, user: &mut GooseUser) -> TransactionResult {
        user.get_named(&format!("/v1/sales/{}", self.sale), "/v1/sales/{sale}").await?;
        Ok(())
    }

    /// Orders with the same key until there is a definite response. Returns it, and the path of the order if
    /// it was accepted.
    pub(crate) async fn order(
        &self,
        user: &mut GooseUser,
        customer: &str,
    ) -> Result<(Response, Option<String>), Box<TransactionError>> {
        let order = request::order_with_lines(&[(&self.sku, 1)]);
        let mut response = Response::missing();
        for _ in 0..ATTEMPTS_MAX {
            response = self.attempt(user, customer, &order).await?;
            if !response.should_retry() {
                break;
            }
            let seconds = response.retry_after_seconds.unwrap_or(1);
            tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        }
        let id = response.order_id.filter(|_| response.is_accepted());
        let path = id.map(|id| format!("/v1/sales/{}/orders/{id}", self.sale));
        Ok((response, path))
    }

    async fn attempt(
        &self,
        user: &mut GooseUser,
        customer: &str,
        order: &OrderRequest,
    ) -> Result<Response, Box<TransactionError>> {
        let path = format!("/v1/sales/{}/orders", self.sale);
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
        let response = decode(response).await;
        let sent = SentRequest {
            sale: &self.sale,
            customer,
            key: Some(customer),
            gateway: &self.gateway,
            class: Class::Plain,
            order: Some(order),
            sent_us,
        };
        self.journal.write(Entry::new(&sent, &response));
        // A refusal that the interface promises is not a failure of the server.
        if (400..500).contains(&response.status) && response.status != 429 {
            request.error.clear();
            user.set_success(&mut request)?;
        }
        Ok(response)
    }
}

/// Runs a scenario and prints goose's metrics.
pub(crate) async fn run_scenario(
    configuration: GooseConfiguration,
    scenario: Scenario,
) -> anyhow::Result<()> {
    let attack = GooseAttack::initialize_with_config(configuration)?.register_scenario(scenario);
    print!("{}", attack.execute().await?);
    Ok(())
}

/// Prints the paths of the report and the journal, and the command that checks the journal.
pub(crate) fn print_outputs(sale: &str, report: &Path, journal: &Path, entries: u64) {
    println!("  report   {}", report.display());
    println!("  journal  {} ({} entries)", journal.display(), thousands(entries));
    println!("  check    ./dev load check --sale {sale} --journal {}", journal.display());
}

/// Decodes the response to an order or a command.
pub(crate) async fn decode(response: GooseResponse) -> Response {
    let Ok(response) = response.response else { return Response::missing() };
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let replayed = header("idempotency-replayed") == Some("true");
    let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
    match response.bytes().await {
        Ok(body) => Response::parse(status, replayed, retry_after, &body),
        Err(_) => Response::missing(),
    }
}

/// Sends a request of a customer. `name` is the name in goose's metrics.
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

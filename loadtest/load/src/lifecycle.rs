//! `load lifecycle`: goose users with the whole lifecycle of an order: view the sale, order, pay or not,
//! follow the live updates, then cancel, request a refund, or let the order expire, with the weights of
//! [`customers::intent`].
//!
//! The loop is closed, as with people. When a gateway has no live updates, users poll the order's status
//! instead.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use contract::sse::Parser;
use customers::admin::{self, Admin};
use customers::follow_up::is_shipped;
use customers::http::Authority;
use customers::intent::{Intent, Payment};
use customers::settings::parse_duration;
use customers::{journal, sales};
use goose::prelude::*;
use serde::Deserialize;

use crate::goose_support::{self, GooseArguments, RunState, SaleTarget};

/// The polling interval without live updates.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// The longest wait for a payment or a shipment.
const FOLLOW_LIMIT: Duration = Duration::from_secs(20);
/// How long the new sale holds units for customers who do not pay, in seconds.
const HOLD_SECONDS: u32 = 10;

/// The arguments of `load lifecycle`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Units of the new sale.
    #[arg(long, default_value_t = 2_000, value_name = "UNITS")]
    pub stock: u64,
    /// Duration of the run; 1h at most.
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub run_time: Duration,
    /// Seed of the customers' intents.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// Arguments of all goose scenarios.
    #[command(flatten)]
    pub goose: GooseArguments,
}

/// The state that all users share.
#[derive(Debug)]
struct LifecycleRun {
    target: SaleTarget,
    admin: Admin,
    seed: u64,
    cards: bool,
}

static RUN: RunState<LifecycleRun> = RunState::new();

/// A user's current customer.
#[derive(Debug, Clone)]
struct Customer {
    run: Arc<LifecycleRun>,
    name: String,
    intent: Intent,
    /// The path and the total of the accepted order.
    accepted: Option<(String, u64)>,
}

/// Runs goose and prints its metrics.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let programs = &arguments.goose.programs;
    let (report, journal_file) = arguments.goose.output_paths("lifecycle");
    let configuration = arguments.goose.configuration(arguments.run_time, &report)?;
    let gateways = Authority::resolve_all(std::slice::from_ref(&programs.gateway_url))?;
    let sale = sales::unique_id("lifecycle");
    let admin = Admin::new(&programs.admin_url)?;
    let mut terms = sales::single("Lifecycle", arguments.stock);
    terms.hold_seconds = HOLD_SECONDS;
    let view = admin::create_sale(&admin, &gateways, &sale, &terms).await?;
    let sku = view.items.first().context("the sale has no items")?.sku.clone();
    let cards = programs.cards_are_charged().await;
    let (journal, writer) = journal::create(&journal_file).context("the journal")?;
    let target = SaleTarget {
        sale: sale.clone(),
        sku,
        gateway: gateways[0].host.clone(),
        customer_prefix: sales::unique_id("life"),
        customers: AtomicU64::new(0),
        journal,
    };
    RUN.set(Some(LifecycleRun { target, admin, seed: arguments.seed, cards }));
    let scenario = scenario!("lifecycle")
        .register_transaction(transaction!(arrive).set_name("arrive"))
        .register_transaction(transaction!(browse).set_name("view the sale"))
        .register_transaction(transaction!(order).set_name("order"))
        .register_transaction(transaction!(pay).set_name("pay"))
        .register_transaction(transaction!(follow_up).set_name("follow, cancel, send back"));
    goose_support::run_scenario(configuration, scenario).await?;
    RUN.set(None);
    if !cards {
        println!("  cards    the payments program is not ready: all customers paid from their wallets");
    }
    let entries = writer.finish().context("the journal")?;
    goose_support::print_outputs(&sale, &report, &journal_file, entries);
    Ok(ExitCode::SUCCESS)
}

/// Replaces the user's customer by a new one.
async fn arrive(user: &mut GooseUser) -> TransactionResult {
    let Some(run) = RUN.get() else { return Ok(()) };
    let name = run.target.next_customer();
    let intent = Intent::choose(&name, run.seed, run.cards);
    user.set_session_data(Customer { run, name, intent, accepted: None });
    Ok(())
}

async fn browse(user: &mut GooseUser) -> TransactionResult {
    let Some(run) = user.get_session_data::<Customer>().map(|c| c.run.clone()) else { return Ok(()) };
    run.target.browse(user).await
}

async fn order(user: &mut GooseUser) -> TransactionResult {
    let Some(customer) = user.get_session_data::<Customer>().cloned() else { return Ok(()) };
    let (response, path) = customer.run.target.order(user, &customer.name).await?;
    user.set_session_data(Customer { accepted: path.zip(response.total), ..customer });
    Ok(())
}

/// Credits the wallet if the customer pays from it, then pays.
async fn pay(user: &mut GooseUser) -> TransactionResult {
    let Some(customer) = user.get_session_data::<Customer>().cloned() else { return Ok(()) };
    let (Some((path, total)), Some(payment)) = (&customer.accepted, customer.intent.payment()) else {
        return Ok(());
    };
    if payment == Payment::Wallet {
        // A failed credit is visible as a failed payment.
        let _ = customer.run.admin.credit(&customer.name, "lifecycle", *total, Currency::KRW).await;
    }
    let path = format!("{path}/payment");
    command(user, GooseMethod::Post, &path, "…/payment", &customer.name, Some(&payment.request())).await
}

/// Waits for the status at which the customer acts, then cancels or requests a refund if intended.
async fn follow_up(user: &mut GooseUser) -> TransactionResult {
    let Some(customer) = user.get_session_data::<Customer>().cloned() else { return Ok(()) };
    let Some((path, _)) = customer.accepted else { return Ok(()) };
    let name = &customer.name;
    match customer.intent {
        Intent::Forget => Ok(()),
        Intent::Keep(_) => {
            follow(user, &path, name, OrderStatus::is_paid).await?;
            Ok(())
        }
        Intent::CancelUnpaid => {
            command(user, GooseMethod::Delete, &path, "cancel …", name, None::<&()>).await
        }
        Intent::CancelPaid(_) => {
            if follow(user, &path, name, OrderStatus::is_paid).await?.is_some_and(OrderStatus::is_paid) {
                command(user, GooseMethod::Delete, &path, "cancel …", name, None::<&()>).await?;
            }
            Ok(())
        }
        Intent::SendBack(_) => {
            if follow(user, &path, name, is_shipped).await?.is_some_and(is_shipped) {
                let path = format!("{path}/refund");
                command(user, GooseMethod::Post, &path, "…/refund", name, None::<&()>).await?;
            }
            Ok(())
        }
    }
}

/// Sends a command. A command that is too late is refused as promised, which is not a failure.
async fn command(
    user: &mut GooseUser,
    method: GooseMethod,
    path: &str,
    metric: &str,
    name: &str,
    body: Option<&impl serde::Serialize>,
) -> TransactionResult {
    let response = goose_support::call(user, method, path, metric, name, body).await?;
    let mut request = response.request.clone();
    if goose_support::decode(response).await.status == 409 {
        request.error.clear();
        user.set_success(&mut request)?;
    }
    Ok(())
}

/// Follows the order until it has a wanted or a final status, at most for [`FOLLOW_LIMIT`]. Returns the last
/// status received.
async fn follow(
    user: &mut GooseUser,
    path: &str,
    name: &str,
    wanted: impl Fn(OrderStatus) -> bool,
) -> Result<Option<OrderStatus>, Box<TransactionError>> {
    let begun = Instant::now();
    let is_enough = |status: OrderStatus| wanted(status) || status.is_final();
    let mut last = None;
    let mut has_live_updates = true;
    while begun.elapsed() < FOLLOW_LIMIT {
        if has_live_updates {
            match receive_updates(user, path, name, begun, &is_enough).await? {
                Updates::Received(status) => last = status.or(last),
                Updates::Unavailable => has_live_updates = false,
            }
        } else {
            last = fetch_status(user, path, name).await?.or(last);
        }
        if last.is_some_and(&is_enough) {
            break;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
    Ok(last)
}

#[derive(Deserialize)]
struct StatusBody {
    status: OrderStatus,
}

/// The result of reading live updates.
enum Updates {
    /// The last status received, if any.
    Received(Option<OrderStatus>),
    /// The gateway has no live updates.
    Unavailable,
}

/// Reads the live updates until a status is enough, the stream ends, or the time is up.
async fn receive_updates(
    user: &mut GooseUser,
    path: &str,
    name: &str,
    begun: Instant,
    is_enough: &impl Fn(OrderStatus) -> bool,
) -> Result<Updates, Box<TransactionError>> {
    let path = format!("{path}/events");
    let response = goose_support::call(user, GooseMethod::Get, &path, "…/events", name, None::<&()>).await?;
    let mut request = response.request;
    let Ok(mut response) = response.response else { return Ok(Updates::Received(None)) };
    if response.status().as_u16() == 404 {
        request.error.clear();
        user.set_success(&mut request)?;
        return Ok(Updates::Unavailable);
    }
    let mut parser = Parser::default();
    let mut last = None;
    loop {
        let remaining = FOLLOW_LIMIT.saturating_sub(begun.elapsed());
        let Ok(Ok(Some(bytes))) = tokio::time::timeout(remaining, response.chunk()).await else {
            return Ok(Updates::Received(last));
        };
        for event in parser.push(&bytes) {
            let status = serde_json::from_str::<StatusBody>(&event.data).map(|body| body.status).ok();
            last = status.or(last);
            if last.is_some_and(is_enough) {
                return Ok(Updates::Received(last));
            }
        }
    }
}

async fn fetch_status(
    user: &mut GooseUser,
    path: &str,
    name: &str,
) -> Result<Option<OrderStatus>, Box<TransactionError>> {
    let path = format!("{path}/status");
    let response = goose_support::call(user, GooseMethod::Get, &path, "…/status", name, None::<&()>).await?;
    let Ok(response) = response.response else { return Ok(None) };
    let body = response.bytes().await.ok();
    Ok(body.and_then(|body| serde_json::from_slice::<StatusBody>(&body).ok()).map(|body| body.status))
}

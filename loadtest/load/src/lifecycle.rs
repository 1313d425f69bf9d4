//! `loadtest lifecycle`: goose customers who live with their orders: look at the sale, order, pay or not, follow
//! the live updates, cancel, send back, or let the order expire; by the weights of [`customers::intent`].
//!
//! Closed loop, as people are. Where a gateway has no live updates, the order's status is looked at instead.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use goose::prelude::*;
use serde::Deserialize;

use crate::goose_run::{self, Shared, Stall};
use customers::admin::{self, Admin};
use customers::http::Authority;
use customers::intent::{Intent, Payment};
use customers::journal;
use customers::settings::{Programs, parse_duration};
use customers::sse::Stream;
use customers::{sales, stack};

/// Between two looks at an order, where there are no live updates.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest wait for a payment, and for goods to be shipped.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the sale that is made holds units for who does not pay, in seconds.
const HOLD_SECONDS: u32 = 10;

/// How many, how long.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Units of the sale that is made.
    #[arg(long, default_value_t = 2_000, value_name = "UNITS")]
    pub stock: u64,
    /// Customers at the same time; each that is done is followed by another.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000), value_name = "USERS")]
    pub users: u64,
    /// How long; 1h at most.
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub run_time: Duration,
    /// Seed of what customers mean to do.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// Where goose's HTML report goes [default: lifecycle.html in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where the journal goes, for `loadtest check` [default: lifecycle-journal.jsonl in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Where the programs are.
    #[command(flatten)]
    pub programs: Programs,
}

/// What all users share.
#[derive(Debug)]
struct Town {
    stall: Stall,
    admin: Admin,
    seed: u64,
    cards: bool,
}

static TOWN: Shared<Town> = Shared::new();

/// A user's current order.
#[derive(Debug, Clone)]
struct Customer {
    town: Arc<Town>,
    name: String,
    intent: Intent,
    /// Path of the accepted order, and what it costs.
    accepted: Option<(String, u64)>,
}

/// Runs goose.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = stack::output(arguments.report.as_deref(), "lifecycle.html");
    let journal_file = stack::output(arguments.journal.as_deref(), "lifecycle-journal.jsonl");
    let goose = &arguments.programs.gateway_url;
    let goose = goose_run::configuration(goose, arguments.users, arguments.run_time, &report)?;
    let gateways = Authority::resolve_all(std::slice::from_ref(&arguments.programs.gateway_url))?;
    let sale = sales::fresh_id("lifecycle");
    let operator = Admin::at(&arguments.programs.admin_url)?;
    let mut terms = sales::single("Lifecycle", arguments.stock);
    terms.hold_seconds = HOLD_SECONDS;
    let view = admin::make(&operator, &gateways, &sale, &terms).await?;
    let sku = view.items.first().context("the sale offers nothing")?.sku.clone();
    let cards = match &arguments.programs.payments_url {
        Some(url) => admin::is_ready(url).await,
        None => false,
    };
    let (journal, writer) = journal::create(&journal_file).context("the journal")?;
    let stall = Stall {
        sale: sale.clone(),
        sku,
        gateway: gateways[0].host.clone(),
        run: sales::fresh_id("life"),
        customers: AtomicU64::new(0),
        journal,
    };
    TOWN.set(Some(Town { stall, admin: operator, seed: arguments.seed, cards }));
    let scenario = scenario!("lifecycle")
        .register_transaction(transaction!(arrive).set_name("arrive"))
        .register_transaction(transaction!(browse).set_name("look at the sale"))
        .register_transaction(transaction!(order).set_name("order"))
        .register_transaction(transaction!(pay).set_name("pay"))
        .register_transaction(transaction!(change_mind).set_name("follow, cancel, send back"));
    goose_run::attack(goose, scenario).await?;
    TOWN.set(None);
    if !cards {
        println!("  cards    nobody charges them here: all paid from their wallets");
    }
    goose_run::tell(&sale, &report, &journal_file, writer.finish().context("the journal")?);
    Ok(ExitCode::SUCCESS)
}

/// Another customer takes this user's place.
async fn arrive(user: &mut GooseUser) -> TransactionResult {
    let Some(town) = TOWN.get() else { return Ok(()) };
    let name = town.stall.next_customer();
    let intent = Intent::of(&name, town.seed, town.cards);
    user.set_session_data(Customer { town, name, intent, accepted: None });
    Ok(())
}

async fn browse(user: &mut GooseUser) -> TransactionResult {
    let Some(town) = user.get_session_data::<Customer>().map(|c| c.town.clone()) else { return Ok(()) };
    town.stall.look(user).await
}

async fn order(user: &mut GooseUser) -> TransactionResult {
    let Some(customer) = user.get_session_data::<Customer>().cloned() else { return Ok(()) };
    let (answer, path) = customer.town.stall.order(user, &customer.name).await?;
    user.set_session_data(Customer { accepted: path.zip(answer.total), ..customer });
    Ok(())
}

/// The operator fills the wallet, where it is to be filled; the customer pays.
async fn pay(user: &mut GooseUser) -> TransactionResult {
    let Some(customer) = user.get_session_data::<Customer>().cloned() else { return Ok(()) };
    let (Some((path, total)), Some(payment)) = (&customer.accepted, customer.intent.payment()) else {
        return Ok(());
    };
    if payment == Payment::Wallet {
        // One that fails shows as a payment that fails.
        let _ = customer.town.admin.credit(&customer.name, "lifecycle", *total, Currency::KRW).await;
    }
    let path = format!("{path}/payment");
    command(user, GooseMethod::Post, &path, "…/payment", &customer.name, Some(&payment.request())).await
}

/// What the customer means to do after that, when the time has come.
async fn change_mind(user: &mut GooseUser) -> TransactionResult {
    let Some(customer) = user.get_session_data::<Customer>().cloned() else { return Ok(()) };
    let Some((path, _)) = customer.accepted else { return Ok(()) };
    let name = &customer.name;
    let shipped =
        |status| matches!(status, OrderStatus::Shipped | OrderStatus::InTransit | OrderStatus::Delivered);
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
            if follow(user, &path, name, shipped).await?.is_some_and(shipped) {
                let path = format!("{path}/refund");
                command(user, GooseMethod::Post, &path, "…/refund", name, None::<&()>).await?;
            }
            Ok(())
        }
    }
}

/// Sends a command. One that comes too late is refused as promised, and no failure.
async fn command(
    user: &mut GooseUser,
    method: GooseMethod,
    path: &str,
    called: &str,
    name: &str,
    body: Option<&impl serde::Serialize>,
) -> TransactionResult {
    let response = goose_run::call(user, method, path, called, name, body).await?;
    let mut request = response.request.clone();
    if goose_run::read(response).await.status == 409 {
        request.error.clear();
        user.set_success(&mut request)?;
    }
    Ok(())
}

/// Follows the order until it stands as wanted or has come to its end; at most for [`PATIENCE`]. Returns where
/// it was seen last.
async fn follow(
    user: &mut GooseUser,
    path: &str,
    name: &str,
    wanted: impl Fn(OrderStatus) -> bool,
) -> Result<Option<OrderStatus>, Box<TransactionError>> {
    let begun = Instant::now();
    let enough = |status: OrderStatus| wanted(status) || status.is_final();
    let mut seen = None;
    let mut live = true;
    while begun.elapsed() < PATIENCE {
        let told = match live {
            true => listen(user, path, name, begun, &enough).await?,
            false => Some(look(user, path, name).await?),
        };
        match told {
            Some(status) => seen = status.or(seen),
            None => live = false, // not in this gateway
        }
        if seen.is_some_and(&enough) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(seen)
}

#[derive(Deserialize)]
struct Standing {
    status: OrderStatus,
}

/// The live updates, until one is enough or the stream ends. The outer `None`: there are none.
async fn listen(
    user: &mut GooseUser,
    path: &str,
    name: &str,
    begun: Instant,
    enough: &impl Fn(OrderStatus) -> bool,
) -> Result<Option<Option<OrderStatus>>, Box<TransactionError>> {
    let path = format!("{path}/events");
    let answered = goose_run::call(user, GooseMethod::Get, &path, "…/events", name, None::<&()>).await?;
    let mut request = answered.request;
    let Ok(mut response) = answered.response else { return Ok(Some(None)) };
    if response.status().as_u16() == 404 {
        request.error.clear();
        user.set_success(&mut request)?;
        return Ok(None);
    }
    let mut stream = Stream::default();
    let mut seen = None;
    loop {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let Ok(Ok(Some(bytes))) = tokio::time::timeout(left, response.chunk()).await else {
            return Ok(Some(seen));
        };
        for event in stream.push(&bytes) {
            seen = serde_json::from_str::<Standing>(&event.data).map(|told| told.status).ok().or(seen);
            if seen.is_some_and(enough) {
                return Ok(Some(seen));
            }
        }
    }
}

/// The order's status.
async fn look(
    user: &mut GooseUser,
    path: &str,
    name: &str,
) -> Result<Option<OrderStatus>, Box<TransactionError>> {
    let path = format!("{path}/status");
    let answered = goose_run::call(user, GooseMethod::Get, &path, "…/status", name, None::<&()>).await?;
    let Ok(response) = answered.response else { return Ok(None) };
    let body = response.bytes().await.ok();
    Ok(body.and_then(|body| serde_json::from_slice::<Standing>(&body).ok()).map(|told| told.status))
}

//! `loadtest rush`: goose customers who look at the sale, order, retry what may have happened with the
//! same key, and wait until their order is settled; with goose's own HTML report.
//!
//! Closed loop, as people are: a slow server slows them down. For latencies see [`crate::surge`].

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use goose::goose::GooseResponse;
use goose::prelude::*;
use serde::Deserialize;

use crate::goose_run::{self, Shared, Stall};
use customers::admin::{self, Admin};
use customers::http::Authority;
use customers::journal;
use customers::settings::{Programs, parse_duration};
use customers::{sales, stack};

/// Pause between two looks at an order that is being processed.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// Longest wait until an accepted order is settled.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// How many, how long, at what.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sale; without it a fresh one is made and opened.
    #[arg(long, value_name = "SALE")]
    pub sale: Option<String>,
    /// Units of the sale that is made.
    #[arg(long, default_value_t = 5_000, value_name = "UNITS")]
    pub stock: u64,
    /// Customers at the same time; each that is done is followed by another.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000), value_name = "USERS")]
    pub users: u64,
    /// How long; 1h at most.
    #[arg(long, default_value = "20s", value_parser = parse_duration, value_name = "TIME")]
    pub run_time: Duration,
    /// Where goose's HTML report goes [default: rush.html in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where the journal goes, for `loadtest check` [default: rush-journal.jsonl in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Where the programs are.
    #[command(flatten)]
    pub programs: Programs,
}

static STALL: Shared<Stall> = Shared::new();

/// A user's current order.
#[derive(Debug, Clone)]
struct Customer {
    stall: Arc<Stall>,
    name: String,
    /// Path of the accepted order.
    accepted: Option<String>,
}

/// Runs goose.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = stack::output(arguments.report.as_deref(), "rush.html");
    let journal_file = stack::output(arguments.journal.as_deref(), "rush-journal.jsonl");
    let goose = &arguments.programs.gateway_url;
    let goose = goose_run::configuration(goose, arguments.users, arguments.run_time, &report)?;
    let gateways = Authority::resolve_all(std::slice::from_ref(&arguments.programs.gateway_url))?;
    let (sale, view) = match &arguments.sale {
        Some(sale) => (sale.clone(), admin::until_selling(&gateways, sale).await?),
        None => {
            let sale = sales::fresh_id("rush");
            let admin = Admin::at(&arguments.programs.admin_url)?;
            let view = admin::make(&admin, &gateways, &sale, &sales::single("Rush", arguments.stock)).await?;
            (sale, view)
        }
    };
    let sku = view.items.first().context("the sale offers nothing")?.sku.clone();
    let (journal, writer) = journal::create(&journal_file).context("the journal")?;
    STALL.set(Some(Stall {
        sale: sale.clone(),
        sku,
        gateway: gateways[0].host.clone(),
        run: sales::fresh_id("rush"),
        customers: AtomicU64::new(0),
        journal,
    }));
    let scenario = scenario!("rush")
        .register_transaction(transaction!(arrive).set_name("arrive"))
        .register_transaction(transaction!(browse).set_name("look at the sale"))
        .register_transaction(transaction!(order).set_name("order"))
        .register_transaction(transaction!(until_settled).set_name("wait until settled"));
    goose_run::attack(goose, scenario).await?;
    STALL.set(None);
    goose_run::tell(&sale, &report, &journal_file, writer.finish().context("the journal")?);
    Ok(ExitCode::SUCCESS)
}

/// Another customer takes this user's place.
async fn arrive(user: &mut GooseUser) -> TransactionResult {
    let Some(stall) = STALL.get() else { return Ok(()) };
    let name = stall.next_customer();
    user.set_session_data(Customer { stall, name, accepted: None });
    Ok(())
}

async fn browse(user: &mut GooseUser) -> TransactionResult {
    let Some(stall) = user.get_session_data::<Customer>().map(|c| c.stall.clone()) else { return Ok(()) };
    stall.look(user).await
}

async fn order(user: &mut GooseUser) -> TransactionResult {
    let Some(customer) = user.get_session_data::<Customer>().cloned() else { return Ok(()) };
    let (_, accepted) = customer.stall.order(user, &customer.name).await?;
    user.set_session_data(Customer { accepted, ..customer });
    Ok(())
}

#[derive(Deserialize)]
struct OrderView {
    status: String,
}

/// Looks at the order until it is no longer `processing`.
async fn until_settled(user: &mut GooseUser) -> TransactionResult {
    let customer = user.get_session_data::<Customer>();
    let Some((path, name)) = customer.and_then(|c| Some((c.accepted.clone()?, c.name.clone()))) else {
        return Ok(());
    };
    let begun = Instant::now();
    loop {
        let called = "/v1/sales/{sale}/orders/{order}";
        let GooseResponse { mut request, response } =
            goose_run::call(user, GooseMethod::Get, &path, called, &name, None::<&()>).await?;
        let settled = match response {
            Ok(response) => {
                let view = response.bytes().await.ok();
                let view = view.and_then(|body| serde_json::from_slice::<OrderView>(&body).ok());
                view.is_some_and(|view| view.status != "processing")
            }
            Err(_) => false,
        };
        if settled {
            return Ok(());
        }
        if begun.elapsed() >= SETTLE_LIMIT {
            return user.set_failure("not settled in time", &mut request, None, None);
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

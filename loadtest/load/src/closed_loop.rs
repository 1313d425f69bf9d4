//! `load closed-loop`: goose users who view the sale, order, retry unknown outcomes with the same key, and
//! wait until the order is settled; with goose's own HTML report.
//!
//! The loop is closed, as with people: a slow server slows its users down. For latencies see
//! [`crate::open_loop`].

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use customers::admin::{self, Admin};
use customers::http::Authority;
use customers::settings::parse_duration;
use customers::{journal, sales};
use goose::goose::GooseResponse;
use goose::prelude::*;
use serde::Deserialize;

use crate::goose_support::{self, GooseArguments, RunState, SaleTarget};

/// The interval at which a user polls an order that is being processed.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// The longest wait until an accepted order is settled.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// The arguments of `load closed-loop`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Id of the sale; without it a new sale is created and opened.
    #[arg(long, value_name = "SALE")]
    pub sale: Option<String>,
    /// Units of the new sale.
    #[arg(long, default_value_t = 5_000, value_name = "UNITS")]
    pub stock: u64,
    /// Duration of the run; 1h at most.
    #[arg(long, default_value = "20s", value_parser = parse_duration, value_name = "TIME")]
    pub run_time: Duration,
    /// Arguments of all goose scenarios.
    #[command(flatten)]
    pub goose: GooseArguments,
}

static TARGET: RunState<SaleTarget> = RunState::new();

/// A user's current customer.
#[derive(Debug, Clone)]
struct Customer {
    target: Arc<SaleTarget>,
    name: String,
    /// The path of the accepted order.
    accepted: Option<String>,
}

/// Runs goose and prints its metrics.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let programs = &arguments.goose.programs;
    let (report, journal_file) = arguments.goose.output_paths("closed-loop");
    let configuration = arguments.goose.configuration(arguments.run_time, &report)?;
    let gateways = Authority::resolve_all(std::slice::from_ref(&programs.gateway_url))?;
    let (sale, view) = match &arguments.sale {
        Some(sale) => (sale.clone(), admin::wait_until_selling(&gateways, sale).await?),
        None => {
            let sale = sales::unique_id("closed-loop");
            let terms = sales::single("Closed loop", arguments.stock);
            let admin = Admin::new(&programs.admin_url)?;
            let view = admin::create_sale(&admin, &gateways, &sale, &terms).await?;
            (sale, view)
        }
    };
    let sku = view.items.first().context("the sale has no items")?.sku.clone();
    let (journal, writer) = journal::create(&journal_file).context("the journal")?;
    TARGET.set(Some(SaleTarget {
        sale: sale.clone(),
        sku,
        gateway: gateways[0].host.clone(),
        customer_prefix: sales::unique_id("user"),
        customers: AtomicU64::new(0),
        journal,
    }));
    let scenario = scenario!("closed loop")
        .register_transaction(transaction!(arrive).set_name("arrive"))
        .register_transaction(transaction!(browse).set_name("view the sale"))
        .register_transaction(transaction!(order).set_name("order"))
        .register_transaction(transaction!(wait_until_settled).set_name("wait until settled"));
    goose_support::run_scenario(configuration, scenario).await?;
    TARGET.set(None);
    let entries = writer.finish().context("the journal")?;
    goose_support::print_outputs(&sale, &report, &journal_file, entries);
    Ok(ExitCode::SUCCESS)
}

/// Replaces the user's customer by a new one.
async fn arrive(user: &mut GooseUser) -> TransactionResult {
    let Some(target) = TARGET.get() else { return Ok(()) };
    let name = target.next_customer();
    user.set_session_data(Customer { target, name, accepted: None });
    Ok(())
}

async fn browse(user: &mut GooseUser) -> TransactionResult {
    let Some(target) = user.get_session_data::<Customer>().map(|c| c.target.clone()) else { return Ok(()) };
    target.browse(user).await
}

async fn order(user: &mut GooseUser) -> TransactionResult {
    let Some(customer) = user.get_session_data::<Customer>().cloned() else { return Ok(()) };
    let (_, accepted) = customer.target.order(user, &customer.name).await?;
    user.set_session_data(Customer { accepted, ..customer });
    Ok(())
}

#[derive(Deserialize)]
struct OrderView {
    status: String,
}

/// Polls the order until its status is no longer `processing`.
async fn wait_until_settled(user: &mut GooseUser) -> TransactionResult {
    let customer = user.get_session_data::<Customer>();
    let Some((path, name)) = customer.and_then(|c| Some((c.accepted.clone()?, c.name.clone()))) else {
        return Ok(());
    };
    let begun = Instant::now();
    loop {
        let route = "/v1/sales/{sale}/orders/{order}";
        let GooseResponse { mut request, response } =
            goose_support::call(user, GooseMethod::Get, &path, route, &name, None::<&()>).await?;
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

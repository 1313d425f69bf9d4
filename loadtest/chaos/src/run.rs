//! One scenario with one seed: an empty environment, a sale, a burst, a fault, the recovery, the sale of all
//! units, the wait until the sale is quiescent, and the verdict.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use checker::evidence::Expectations;
use checker::finding::Finding;
use checker::ledger::LedgerEntry;
use checker::report;
use contract::ids::SaleId;
use customers::{admin, sales};
use fastrand::Rng;

use super::buyers::Buyers;
use super::cancellers::Races;
use super::consumer_checks::{self, ConsumerChecks};
use super::load::Load;
use super::scenario::{FaultOverride, Scenario, Stage};
use super::stack::Stack;
use super::summary::Row;

/// The longest wait until the sale is quiescent.
const QUIESCENCE_LIMIT: Duration = Duration::from_secs(60);
/// A scenario that takes longer is considered hung.
const SCENARIO_LIMIT: Duration = Duration::from_secs(300);

/// The result of a run.
#[derive(Debug)]
pub struct RunResult {
    /// The number of customers who arrived.
    pub offered: u64,
    /// The number of orders that a 202 acknowledged.
    pub accepted: u64,
    /// The number of orders in Postgres.
    pub settled: u64,
    /// The time from the end of the fault's cause until every gateway had sold to a new customer and the
    /// order was settled; or why that did not happen.
    pub recovered: anyhow::Result<Duration>,
    /// The findings of every invariant.
    pub findings: Vec<Finding>,
    /// The checks of the consumers; `None` when they did not run.
    pub consumer_checks: Option<ConsumerChecks>,
}

/// Runs a scenario and returns its row, also when it fails.
pub async fn run(stack: &mut Stack, scenario: &Scenario, seed: u64, faults: Option<FaultOverride>) -> Row {
    let begun = Instant::now();
    let result = tokio::time::timeout(SCENARIO_LIMIT, run_once(stack, scenario, seed, faults)).await;
    let result = result.unwrap_or_else(|_| Err(anyhow::anyhow!("took longer than {SCENARIO_LIMIT:?}")));
    let row = Row::new(scenario.name, seed, begun.elapsed(), result);
    print!("{}", row.line());
    row
}

/// The customers of the burst, by what is checked about them.
enum Customers {
    /// Customers who keep their orders.
    Keeping,
    /// Customers who cancel.
    Cancelling(Races),
    /// Customers who pay.
    Paying(Arc<Buyers>),
}

async fn run_once(
    stack: &mut Stack,
    scenario: &Scenario,
    seed: u64,
    faults: Option<FaultOverride>,
) -> anyhow::Result<RunResult> {
    let name = match faults {
        Some(faults) => format!("without-{}-{seed}", faults.label.replace('_', "-")),
        None => format!("{}-{seed}", scenario.name),
    };
    let folder = output_folder(stack, &name)?;
    let rng = reset(stack, scenario, &name, seed, faults).await?;

    let duration = scenario.duration;
    let mut stage = Stage { stack, rng, sale: name.clone(), duration, duplicates_allowed: 0 };
    (scenario.prepare)(&mut stage).await.context("preparing")?;
    create_sale(stage.stack, scenario, &name).await?;
    let load = Load::new(&name, stage.stack.gateways(), seed, &folder)?;
    let (recovered, customers) = run_burst(&mut stage, scenario, &load, seed).await?;
    let duplicates_allowed = stage.duplicates_allowed;
    stack.restore().await?;

    let (mut consumer_checks, mut ledger) = (None, None);
    let database = stack.database().await?;
    match customers {
        Customers::Keeping => load.sell_out(&database).await?,
        Customers::Cancelling(races) => races.check(&database, &name).await?,
        Customers::Paying(buyers) => {
            let (checks, entries) =
                check_consumers(stack, scenario, &name, &buyers, duplicates_allowed).await?;
            (consumer_checks, ledger) = (Some(checks), Some(entries));
        }
    }
    let result = load.finish().await?;

    let expectations = Expectations { journal_complete: true, sold_out: scenario.hold.is_none() };
    let sale = SaleId::parse(&name)?;
    let services = stack.services();
    let mut evidence =
        checker::gather(&services, &sale, result.entries, expectations, QUIESCENCE_LIMIT).await?;
    evidence.ledger = ledger;
    let findings = checker::evaluate(&evidence);
    report::write_json(&folder.join("check.json"), &name, &findings)?;
    Ok(RunResult {
        offered: result.offered,
        accepted: result.accepted,
        settled: evidence.stored.orders.len() as u64,
        recovered,
        findings,
        consumer_checks,
    })
}

/// Starts the programs with their faults in a fresh environment. Returns the random numbers of the scenario.
async fn reset(
    stack: &mut Stack,
    scenario: &Scenario,
    name: &str,
    seed: u64,
    overrides: Option<FaultOverride>,
) -> anyhow::Result<Rng> {
    // The name is part of the seed, so that scenarios with the same seed do not make the same choices.
    let salt = scenario.name.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut rng = Rng::with_seed(seed ^ salt.rotate_left(17));
    let faults = (scenario.faults)(&mut rng);
    let faults = match overrides {
        Some(overrides) => faults.overridden_by(overrides),
        None => faults,
    };
    stack.retry_pauses_ms = scenario.retry_pauses_ms;
    let with_downstream = scenario.behaviors.is_some();
    stack.reset_environment(name, &faults, with_downstream).await.context("resetting the environment")?;
    Ok(rng)
}

async fn create_sale(stack: &Stack, scenario: &Scenario, name: &str) -> anyhow::Result<()> {
    let mut terms = sales::burst(scenario.units);
    if let Some(hold) = scenario.hold {
        terms.hold_seconds = hold.as_secs() as u32;
    }
    admin::create_sale(&stack.admin(1)?, &stack.gateways(), name, &terms)
        .await
        .context("opening the sale")?;
    Ok(())
}

/// Runs the burst and injects the fault at the same time. Returns the time of recovery and the customers.
async fn run_burst(
    stage: &mut Stage<'_>,
    scenario: &Scenario,
    load: &Load,
    seed: u64,
) -> anyhow::Result<(anyhow::Result<Duration>, Customers)> {
    let database_url = stage.stack.services().database_url;
    let (operator, receiver) = (stage.stack.admin(1)?, stage.stack.receiver.clone());
    let burst = async {
        let Scenario { customers, duration, .. } = *scenario;
        match (scenario.hold, scenario.behaviors) {
            (Some(hold), Some(behaviors)) => Customers::Paying(
                load.run_buyers(customers, duration, hold, behaviors, (operator, seed)).await,
            ),
            (Some(hold), None) => {
                Customers::Cancelling(load.run_cancellers(customers, duration, hold, seed).await)
            }
            (None, _) => {
                load.run_burst(customers, duration, scenario.change_customer).await;
                Customers::Keeping
            }
        }
    };
    // The customers of the burst detect the recovery by themselves: nothing waits for any of them.
    let recovery = async {
        (scenario.inject_fault)(stage).await.context("injecting the fault")?;
        let ended = Instant::now();
        match scenario.behaviors {
            Some(_) => load.wait_until_serving(&database_url, &receiver).await?,
            None => load.wait_until_selling(&database_url).await?,
        }
        anyhow::Ok(ended.elapsed())
    };
    Ok(tokio::join!(recovery, burst))
}

/// Waits until all orders are final, and checks the consumers. Returns the checks and the provider's ledger.
async fn check_consumers(
    stack: &Stack,
    scenario: &Scenario,
    name: &str,
    buyers: &Buyers,
    duplicates_allowed: u64,
) -> anyhow::Result<(ConsumerChecks, Vec<LedgerEntry>)> {
    let database = stack.database().await?;
    let unfinished = buyers.wait_until_finished(&database, name).await?;
    let ledger = consumer_checks::wait_for_ledger(&database, &stack.provider_url(), name).await?;
    let last_pause = Duration::from_millis(scenario.retry_pauses_ms[1].parse()?);
    let mut checks =
        ConsumerChecks::run(&database, &stack.receiver, name, duplicates_allowed, last_pause).await?;
    let (lost, problems) = buyers.problems(&database).await?;
    checks.lost += lost;
    if unfinished > 0 {
        checks.problems.push(format!("{unfinished} orders or payments never reached a final state"));
    }
    checks.problems.extend(problems);
    Ok((checks, ledger))
}

fn output_folder(stack: &Stack, name: &str) -> anyhow::Result<PathBuf> {
    let folder = stack.output().join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

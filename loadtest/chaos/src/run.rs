//! One scenario with one seed: an empty world, a sale, a burst, something breaks, it works again, all is
//! sold, all is at rest, and the verdict.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::ids::SaleId;

use super::aftermath::{self, Aftermath};
use super::buyers::Buyers;
use super::load::Load;
use super::scenario::{Hit, Scenario, Stage};
use super::second_thoughts::Races;
use super::stack::Stack;
use super::summary::Row;
use checker::evidence::Expectations;
use checker::finding::Finding;
use checker::report;
use customers::crowd::Dice;
use customers::{admin, sales};

/// Longest wait until everything is at rest.
const REST_LIMIT: Duration = Duration::from_secs(60);
/// A scenario that takes longer has hung.
const SCENARIO_LIMIT: Duration = Duration::from_secs(300);

/// What a run found.
#[derive(Debug)]
pub struct Ran {
    /// Customers who came.
    pub offered: u64,
    /// Orders that customers were told of.
    pub accepted: u64,
    /// Rows in Postgres.
    pub settled: u64,
    /// From the end of the cause until every gateway had sold to a new customer, and that was settled; or why
    /// that did not come to pass.
    pub recovered: anyhow::Result<Duration>,
    /// Of every invariant.
    pub findings: Vec<Finding>,
    /// Of what followed the events; `None`: nothing did.
    pub aftermath: Option<Aftermath>,
}

/// Runs it and says how it went, whatever happens.
pub async fn run(stack: &mut Stack, scenario: &Scenario, seed: u64, hit: Option<Hit>) -> Row {
    let begun = Instant::now();
    let ran = tokio::time::timeout(SCENARIO_LIMIT, run_once(stack, scenario, seed, hit)).await;
    let ran = ran.unwrap_or_else(|_| Err(anyhow::anyhow!("took longer than {SCENARIO_LIMIT:?}")));
    let row = Row::new(scenario.name, seed, begun.elapsed(), ran);
    print!("{}", row.line());
    row
}

async fn run_once(
    stack: &mut Stack,
    scenario: &Scenario,
    seed: u64,
    hit: Option<Hit>,
) -> anyhow::Result<Ran> {
    let name = match hit {
        Some(hit) => format!("without-{}-{seed}", hit.label.replace('_', "-")),
        None => format!("{}-{seed}", scenario.name),
    };
    let folder = folder(stack, &name)?;
    // Scenarios with the same seed are not to be alike.
    let salt = scenario.name.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut dice = Dice::new(seed ^ salt.rotate_left(17));
    let faults = (scenario.faults)(&mut dice);
    let faults = match hit {
        Some(hit) => faults.with(hit),
        None => faults,
    };
    stack.tries_ms = scenario.tries_ms;
    stack.fresh(&name, &faults, scenario.habits.is_some()).await.context("a fresh world")?;

    let mut stage = Stage { stack, dice, sale: name.clone(), lasts: scenario.lasts, doubles_allowed: 0 };
    (scenario.prepare)(&mut stage).await.context("preparing")?;
    let gateways = stage.stack.gateways();
    let mut terms = sales::burst(scenario.units);
    if let Some(hold) = scenario.hold {
        terms.hold_seconds = hold.as_secs() as u32;
    }
    admin::make(&stage.stack.admin(1)?, &gateways, &name, &terms).await.context("opening the sale")?;
    let database_url = stage.stack.services().database_url;
    let load = Load::new(&name, gateways, seed, &folder)?;
    let (operator, receiver) = (stage.stack.admin(1)?, stage.stack.receiver.clone());
    let strike = async {
        (scenario.strike)(&mut stage).await?;
        anyhow::Ok(Instant::now())
    };
    let burst = async {
        let Scenario { customers, lasts, .. } = *scenario;
        match (scenario.hold, scenario.habits) {
            (Some(hold), Some(habits)) => {
                Came::Bought(load.come_and_pay(customers, lasts, hold, habits, (operator, seed)).await)
            }
            (Some(hold), None) => Came::Raced(load.come_and_cancel(customers, lasts, hold, seed).await),
            (None, _) => {
                load.come(customers, lasts, scenario.manner).await;
                Came::Ordered
            }
        }
    };
    // Customers find out by themselves when it works again: none of them is waited for.
    let recovering = async {
        let ended = strike.await.context("the fault itself")?;
        match scenario.habits {
            Some(_) => load.until_serving(&database_url, &receiver).await?,
            None => load.until_selling(&database_url).await?,
        }
        anyhow::Ok(ended.elapsed())
    };
    let (recovered, came) = tokio::join!(recovering, burst);
    let doubles_allowed = stage.doubles_allowed;
    stack.heal().await?;
    let database = stack.database().await?;
    let (mut aftermath, mut ledger) = (None, None);
    match came {
        Came::Ordered => load.sell_out(&database).await?,
        Came::Raced(races) => races.end(&database, &name).await?,
        Came::Bought(buyers) => {
            let moving = buyers.until_still(&database, &name).await?;
            ledger = Some(aftermath::books(&database, &stack.provider_url(), &name).await?);
            let last_pause = Duration::from_millis(scenario.tries_ms[1].parse()?);
            let look = Aftermath::look(&database, &stack.receiver, &name, doubles_allowed, last_pause);
            let mut found = look.await?;
            let (lost, complaints) = buyers.complaints(&database).await?;
            found.lost += lost;
            if moving > 0 {
                found.complaints.push(format!("{moving} orders or their money never came to their end"));
            }
            found.complaints.extend(complaints);
            aftermath = Some(found);
        }
    }
    let told = load.end().await?;

    let expectations = Expectations { journal_complete: true, sold_out: scenario.hold.is_none() };
    let services = stack.services();
    let sale = SaleId::parse(&name)?;
    let mut evidence = checker::gather(&services, &sale, told.entries, expectations, REST_LIMIT).await?;
    evidence.ledger = ledger;
    let findings = checker::judge(&evidence);
    report::write_json(&folder.join("check.json"), &name, &findings)?;
    Ok(Ran {
        offered: told.offered,
        accepted: told.accepted,
        settled: evidence.orders.len() as u64,
        recovered,
        findings,
        aftermath,
    })
}

/// Who came, as far as it matters at the end.
enum Came {
    /// Customers who keep what they have.
    Ordered,
    /// Customers who cancel.
    Raced(Races),
    /// Customers who pay.
    Bought(Arc<Buyers>),
}

fn folder(stack: &Stack, name: &str) -> anyhow::Result<PathBuf> {
    let folder = stack.output().join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

//! One scenario with one seed: an empty world, a sale, a burst, something breaks, it works again, all is
//! sold, all is at rest, and the verdict.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::ids::SaleId;

use super::load::Load;
use super::scenario::{Hit, Scenario, Stage};
use super::stack::Stack;
use super::summary::Row;
use crate::check::evidence::Expectations;
use crate::check::finding::Finding;
use crate::check::{self, report};
use crate::crowd::Dice;
use crate::{admin, sales};

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
    stack.fresh(&name, &faults).await.context("a fresh world")?;

    let mut stage = Stage { stack, dice, sale: name.clone(), lasts: scenario.lasts };
    (scenario.prepare)(&mut stage).await.context("preparing")?;
    let gateways = stage.stack.gateways();
    let mut terms = sales::burst(scenario.units);
    if let Some(hold) = scenario.hold {
        terms.hold_seconds = hold.as_secs() as u32;
    }
    admin::make(&stage.stack.admin(1)?, &gateways, &name, &terms).await.context("opening the sale")?;
    let database_url = stage.stack.services().database_url;
    let load = Load::new(&name, gateways, seed, &folder)?;
    let strike = async {
        (scenario.strike)(&mut stage).await?;
        anyhow::Ok(Instant::now())
    };
    let burst = async {
        let Scenario { customers, lasts, .. } = *scenario;
        match scenario.hold {
            Some(hold) => Some(load.come_and_cancel(customers, lasts, hold, seed).await),
            None => {
                load.come(customers, lasts, scenario.manner).await;
                None
            }
        }
    };
    // Customers find out by themselves when it works again: none of them is waited for.
    let recovering = async {
        let ended = strike.await.context("the fault itself")?;
        load.until_selling(&database_url).await?;
        anyhow::Ok(ended.elapsed())
    };
    let (recovered, races) = tokio::join!(recovering, burst);
    stack.heal().await?;
    let database = stack.database().await?;
    match races {
        None => load.sell_out(&database).await?,
        Some(races) => races.end(&database, &name).await?,
    }
    let told = load.end().await?;

    let expectations = Expectations { journal_complete: true, sold_out: scenario.hold.is_none() };
    let services = stack.services();
    let sale = SaleId::parse(&name)?;
    let evidence = check::gather(&services, &sale, told.entries, expectations, REST_LIMIT).await?;
    let findings = check::judge(&evidence);
    report::write_json(&folder.join("check.json"), &name, &findings)?;
    Ok(Ran {
        offered: told.offered,
        accepted: told.accepted,
        settled: evidence.orders.len() as u64,
        recovered,
        findings,
    })
}

fn folder(stack: &Stack, name: &str) -> anyhow::Result<PathBuf> {
    let folder = stack.output().join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

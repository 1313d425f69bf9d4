//! One round of the comparison.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::sale::TOTAL_MAX;

use super::closed_loop::{self, Outcome, Plan};
use super::settled::{LagSeen, Settled};
use super::{Arguments, redis_floor};
use crate::procs;
use customers::admin::{self, Admin};
use customers::http::Authority;
use customers::progress;
use customers::sales;
use customers::stack::Process;

/// Units of the sale that is sold out before its path is measured.
const SOLD_OUT_UNITS: u64 = 100;
/// How long it takes at most to sell them.
const SELL_OUT: Duration = Duration::from_secs(1);
/// Orders that are paid at most.
const PAYMENTS_MAX: i64 = 1_000_000;
/// Longer pipelines show what the script alone costs.
const PIPELINE: u32 = 16;

/// What one round measured.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) accepted: Outcome,
    /// Orders in Postgres in the end.
    pub(super) settled: u64,
    /// CPU time until everything was settled, by kind of process.
    pub(super) cpu: BTreeMap<String, Duration>,
    /// Highest lag that settlement told of during the run.
    pub(super) lag_seconds: Option<f64>,
    /// From the end of the run until the log was settled.
    pub(super) catch_up: Duration,
    /// Payments asked for, by card: commands in the log.
    pub(super) paid: Outcome,
    /// Those in Postgres in the end.
    pub(super) payments: u64,
    /// From the first payment until all were settled.
    pub(super) paying_took: Duration,
    /// CPU time in between, by kind of process.
    pub(super) paying_cpu: BTreeMap<String, Duration>,
    pub(super) floor: Outcome,
    pub(super) sold_out: Outcome,
    pub(super) floor_again: Outcome,
    pub(super) redis: f64,
    pub(super) redis_pipelined: f64,
}

/// Sells as a round does, and measures nothing.
pub(super) async fn warm_up(arguments: &Arguments, gateway: &Authority) -> anyhow::Result<()> {
    if arguments.warm_up == 0 {
        return Ok(());
    }
    let admin = Admin::at(&arguments.programs.admin_url)?;
    let sale = sales::fresh_id("bench-warm");
    admin::make(&admin, std::slice::from_ref(gateway), &sale, &sales::single("Warm-up", TOTAL_MAX)).await?;
    let mut settlement = Settled::of(&arguments.services, &sale).await?;
    let plan = Plan {
        target: gateway.clone(),
        sale,
        prefix: "warm-".into(),
        connections: usize::from(arguments.connections),
        duration: Duration::from_secs(arguments.warm_up),
        rate: None,
        payments: None,
    };
    let line = progress::waiting("warming up");
    closed_loop::run(&plan, std::future::ready(())).await?;
    settlement.catch_up().await?;
    line.finish_and_clear();
    Ok(())
}

/// Measures accepted orders, floor (a), the sold-out path, floor (a), floor (b).
pub(super) async fn run(
    arguments: &Arguments,
    gateway: &Authority,
    floor: &Authority,
    processes: &[Process],
    number: u32,
) -> anyhow::Result<Round> {
    let long = Duration::from_secs(arguments.seconds);
    let short = long / 2;
    let connections = usize::from(arguments.connections);
    let plan = |target: &Authority, sale: &str, duration| Plan {
        target: target.clone(),
        sale: sale.to_owned(),
        prefix: format!("r{number}-"),
        connections,
        duration,
        rate: None,
        payments: None,
    };
    let admin = Admin::at(&arguments.programs.admin_url)?;
    let gateways = std::slice::from_ref(gateway);

    let sale = sales::fresh_id("bench");
    admin::make(&admin, gateways, &sale, &sales::single("Bench", TOTAL_MAX)).await?;
    let mut settlement = Settled::of(&arguments.services, &sale).await?;
    let lag = LagSeen::default();
    let before = procs::cpu_times(processes);
    let line = progress::waiting(&format!("round {number}: accepted orders"));
    let watching = lag.watch(&arguments.programs.settlement_url);
    let accepted = closed_loop::run(&plan(gateway, &sale, long), watching).await?;
    let catch_up = settlement.catch_up().await?;
    let cpu = procs::cpu_between(&before, &procs::cpu_times(processes));
    let settled = settlement.orders().await?;
    line.set_prefix(format!("round {number}: payments"));
    let payable = settlement.payable(PAYMENTS_MAX).await?;
    let paying = Plan { payments: Some(payable.into()), ..plan(gateway, &sale, short) };
    let before = procs::cpu_times(processes);
    let begun = Instant::now();
    let paid = closed_loop::run(&paying, std::future::ready(())).await?;
    settlement.catch_up().await?;
    let paying_took = begun.elapsed();
    let paying_cpu = procs::cpu_between(&before, &procs::cpu_times(processes));
    let payments = settlement.payments().await?;
    line.set_prefix(format!("round {number}: floor (a)"));
    let floor_run = closed_loop::run(&plan(floor, &sale, short), std::future::ready(())).await?;

    let sale = sales::fresh_id("bench-gone");
    admin::make(&admin, gateways, &sale, &sales::single("Bench", SOLD_OUT_UNITS)).await?;
    let first = Plan { prefix: "first-".into(), ..plan(gateway, &sale, SELL_OUT) };
    line.set_prefix(format!("round {number}: sold out"));
    closed_loop::run(&first, std::future::ready(())).await?;
    let sold_out = closed_loop::run(&plan(gateway, &sale, short), std::future::ready(())).await?;
    line.set_prefix(format!("round {number}: floor (a) again"));
    let floor_again = closed_loop::run(&plan(floor, &sale, short), std::future::ready(())).await?;

    line.set_prefix(format!("round {number}: floor (b)"));
    let redis = redis_floor::measure(&arguments.services.redis_url, connections, 1).await?;
    let redis_pipelined = redis_floor::measure(&arguments.services.redis_url, connections, PIPELINE).await?;
    line.finish_and_clear();
    Ok(Round {
        accepted,
        settled,
        cpu,
        lag_seconds: lag.seconds(),
        catch_up,
        paid,
        payments,
        paying_took,
        paying_cpu,
        floor: floor_run,
        sold_out,
        floor_again,
        redis,
        redis_pipelined,
    })
}

impl Round {
    /// Orders a second that were told of with 202 and settled in the end.
    pub(super) fn accepted_per_second(&self) -> f64 {
        let all = self.accepted.accepted_in_all.max(1);
        // One that was never settled counts for nothing.
        self.accepted.per_second(202) * self.settled.min(all) as f64 / all as f64
    }
    /// Accepted orders against a constant answer.
    pub(super) fn accepted_ratio(&self) -> f64 {
        self.accepted_per_second() / self.floor.per_second(202)
    }
    /// Accepted orders against a script that only reserves.
    pub(super) fn redis_ratio(&self) -> f64 {
        self.accepted_per_second() / self.redis
    }
    /// Commands a second that were recorded with 202 and settled, until the last one was.
    pub(super) fn commands_per_second(&self) -> f64 {
        self.payments.min(self.paid.accepted_in_all) as f64 / self.paying_took.as_secs_f64()
    }
    /// Commands against acceptances.
    pub(super) fn commands_ratio(&self) -> f64 {
        self.commands_per_second() / self.accepted_per_second()
    }
    /// Refusals of a sold-out sale against a constant answer.
    pub(super) fn sold_out_ratio(&self) -> f64 {
        self.sold_out.per_second(409) / self.floor_again.per_second(202)
    }
    /// The worst that was seen, in seconds.
    pub(super) fn behind_seconds(&self) -> f64 {
        self.lag_seconds.unwrap_or(0.0).max(self.catch_up.as_secs_f64())
    }
}

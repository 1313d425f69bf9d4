//! One round of the comparison.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::sale::TOTAL_MAX;
use customers::admin::{self, Admin};
use customers::http::Authority;
use customers::stack::Process;
use customers::{progress, sales};
use indicatif::ProgressBar;

use super::request_loop::{self, Outcome, Plan};
use super::settlement_lag::{LagMaximum, SettlementProgress};
use super::{Arguments, redis_baseline};
use crate::process_usage;

/// Units of the sale that is sold out before its path is measured.
const SOLD_OUT_UNITS: u64 = 100;
/// The time within which these units are sold.
const SELL_OUT: Duration = Duration::from_secs(1);
/// The highest number of orders that are paid.
const PAYMENTS_MAX: i64 = 1_000_000;
/// The calls in a pipeline: a long pipeline shows the cost of the script alone.
const PIPELINE: u32 = 16;

/// The measurements of a round.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) orders: OrderPath,
    pub(super) baseline: Outcome,
    pub(super) sold_out: Outcome,
    pub(super) baseline_again: Outcome,
    pub(super) redis: f64,
    pub(super) redis_pipelined: f64,
}

/// The measurements of accepted orders and of their payments.
#[derive(Debug)]
pub(super) struct OrderPath {
    pub(super) accepted: Outcome,
    /// The number of orders in Postgres in the end.
    pub(super) settled: u64,
    /// The CPU time until everything was settled, by kind of process.
    pub(super) cpu: BTreeMap<String, Duration>,
    /// The highest lag that settlement exported during the run.
    pub(super) lag_seconds: Option<f64>,
    /// The time from the end of the run until the log was settled.
    pub(super) catch_up: Duration,
    /// Card payments, which are commands in the log.
    pub(super) paid: Outcome,
    /// The number of payments in Postgres in the end.
    pub(super) payments: u64,
    /// The time from the first payment until all payments were settled.
    pub(super) paying_took: Duration,
    /// The CPU time of the payments, by kind of process.
    pub(super) paying_cpu: BTreeMap<String, Duration>,
}

/// Places orders as a round does, without measuring.
pub(super) async fn warm_up(arguments: &Arguments, gateway: &Authority) -> anyhow::Result<()> {
    if arguments.warm_up == 0 {
        return Ok(());
    }
    let sale = create_sale(arguments, gateway, "bench-warm", TOTAL_MAX).await?;
    let mut settlement = SettlementProgress::connect(&arguments.services, &sale).await?;
    let plan = Plan {
        target: gateway.clone(),
        sale,
        prefix: "warm-".into(),
        connections: usize::from(arguments.connections),
        duration: Duration::from_secs(arguments.warm_up),
        rate: None,
        payments: None,
    };
    let spinner = progress::spinner("warming up");
    request_loop::run(&plan, std::future::ready(())).await?;
    settlement.catch_up().await?;
    spinner.finish_and_clear();
    Ok(())
}

async fn create_sale(
    arguments: &Arguments,
    gateway: &Authority,
    prefix: &str,
    units: u64,
) -> anyhow::Result<String> {
    let admin = Admin::new(&arguments.programs.admin_url)?;
    let sale = sales::unique_id(prefix);
    let terms = sales::single("Bench", units);
    admin::create_sale(&admin, std::slice::from_ref(gateway), &sale, &terms).await?;
    Ok(sale)
}

/// What the measurements of a round share.
struct RoundContext<'a> {
    arguments: &'a Arguments,
    gateway: &'a Authority,
    number: u32,
    spinner: ProgressBar,
}

/// Measures accepted orders, payments, baseline A, the sold-out path, baseline A again, and baseline B.
pub(super) async fn run(
    arguments: &Arguments,
    gateway: &Authority,
    baseline: &Authority,
    processes: &[Process],
    number: u32,
) -> anyhow::Result<Round> {
    let connections = usize::from(arguments.connections);
    let spinner = progress::spinner(&format!("round {number}"));
    let context = RoundContext { arguments, gateway, number, spinner };
    let orders = context.measure_orders(processes).await?;
    let baseline_outcome = context.measure_baseline(baseline, "baseline A").await?;
    let sold_out = context.measure_sold_out().await?;
    let baseline_again = context.measure_baseline(baseline, "baseline A again").await?;
    context.announce("baseline B");
    let redis_url = &arguments.services.redis_url;
    let redis = redis_baseline::measure(redis_url, connections, 1).await?;
    let redis_pipelined = redis_baseline::measure(redis_url, connections, PIPELINE).await?;
    context.spinner.finish_and_clear();
    Ok(Round { orders, baseline: baseline_outcome, sold_out, baseline_again, redis, redis_pipelined })
}

impl RoundContext<'_> {
    fn announce(&self, step: &str) {
        self.spinner.set_prefix(format!("round {}: {step}", self.number));
    }

    fn plan(&self, target: &Authority, sale: &str, duration: Duration) -> Plan {
        Plan {
            target: target.clone(),
            sale: sale.to_owned(),
            prefix: format!("r{}-", self.number),
            connections: usize::from(self.arguments.connections),
            duration,
            rate: None,
            payments: None,
        }
    }

    /// Returns the duration of all measurements but that of accepted orders.
    fn short(&self) -> Duration {
        Duration::from_secs(self.arguments.seconds) / 2
    }

    async fn measure_orders(&self, processes: &[Process]) -> anyhow::Result<OrderPath> {
        let sale = create_sale(self.arguments, self.gateway, "bench", TOTAL_MAX).await?;
        let mut settlement = SettlementProgress::connect(&self.arguments.services, &sale).await?;
        let lag = LagMaximum::default();
        let before = process_usage::cpu_times(processes);
        self.announce("accepted orders");
        let plan = self.plan(self.gateway, &sale, Duration::from_secs(self.arguments.seconds));
        let watching = lag.watch(&self.arguments.programs.settlement_url);
        let accepted = request_loop::run(&plan, watching).await?;
        let catch_up = settlement.catch_up().await?;
        let cpu = process_usage::cpu_between(&before, &process_usage::cpu_times(processes));
        let settled = settlement.count_orders().await?;

        self.announce("payments");
        let payable = settlement.payable_orders(PAYMENTS_MAX).await?;
        let plan = Plan { payments: Some(payable.into()), ..self.plan(self.gateway, &sale, self.short()) };
        let before = process_usage::cpu_times(processes);
        let begun = Instant::now();
        let paid = request_loop::run(&plan, std::future::ready(())).await?;
        settlement.catch_up().await?;
        let paying_took = begun.elapsed();
        let paying_cpu = process_usage::cpu_between(&before, &process_usage::cpu_times(processes));
        let payments = settlement.count_payments().await?;
        let lag_seconds = lag.seconds();
        Ok(OrderPath {
            accepted,
            settled,
            cpu,
            lag_seconds,
            catch_up,
            paid,
            payments,
            paying_took,
            paying_cpu,
        })
    }

    async fn measure_baseline(&self, server: &Authority, step: &str) -> anyhow::Result<Outcome> {
        self.announce(step);
        request_loop::run(&self.plan(server, "bench", self.short()), std::future::ready(())).await
    }

    async fn measure_sold_out(&self) -> anyhow::Result<Outcome> {
        let sale = create_sale(self.arguments, self.gateway, "bench-gone", SOLD_OUT_UNITS).await?;
        let first = Plan { prefix: "first-".into(), ..self.plan(self.gateway, &sale, SELL_OUT) };
        self.announce("sold out");
        request_loop::run(&first, std::future::ready(())).await?;
        request_loop::run(&self.plan(self.gateway, &sale, self.short()), std::future::ready(())).await
    }
}

impl Round {
    /// Returns the orders per second that were acknowledged with 202 and settled in the end.
    pub(super) fn accepted_per_second(&self) -> f64 {
        let total = self.orders.accepted.accepted_total.max(1);
        // An order that was never settled does not count.
        self.orders.accepted.per_second(202) * self.orders.settled.min(total) as f64 / total as f64
    }

    /// Returns the ratio of accepted orders to constant responses.
    pub(super) fn accepted_ratio(&self) -> f64 {
        self.accepted_per_second() / self.baseline.per_second(202)
    }

    /// Returns the ratio of accepted orders to calls of a script that only reserves.
    pub(super) fn redis_ratio(&self) -> f64 {
        self.accepted_per_second() / self.redis
    }

    /// Returns the commands per second that were acknowledged with 202 and settled, until the last one was
    /// settled.
    pub(super) fn commands_per_second(&self) -> f64 {
        self.orders.payments.min(self.orders.paid.accepted_total) as f64
            / self.orders.paying_took.as_secs_f64()
    }

    /// Returns the ratio of commands to accepted orders.
    pub(super) fn commands_ratio(&self) -> f64 {
        self.commands_per_second() / self.accepted_per_second()
    }

    /// Returns the ratio of refusals of a sold-out sale to constant responses.
    pub(super) fn sold_out_ratio(&self) -> f64 {
        self.sold_out.per_second(409) / self.baseline_again.per_second(202)
    }

    /// Returns the highest lag of settlement, during or after the run, in seconds.
    pub(super) fn lag_seconds_max(&self) -> f64 {
        self.orders.lag_seconds.unwrap_or(0.0).max(self.orders.catch_up.as_secs_f64())
    }
}

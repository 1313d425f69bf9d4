//! The soak: orders at a steady rate for a long time, while memory must not grow.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::sale::TOTAL_MAX;
use fred::prelude::*;

use super::Arguments;
use super::request_loop::{self, Outcome, Plan};
use super::settlement_lag::SettlementProgress;
use crate::process_usage;
use customers::admin::{self, Admin};
use customers::http::Authority;
use customers::progress;
use customers::sales;
use customers::stack::Process;
use terminal::{Style, Table, heading, styled, thousands};

/// The time after which memory counts as warm; in a soak shorter than five times this, a fifth of the soak.
const WARM: Duration = Duration::from_secs(120);
/// The allowed growth from then on, in per cent.
const GROWTH_PERCENT_MAX: f64 = 5.0;
/// Memory is the median over this window, because it varies by some MiB with every batch.
const WINDOW: Duration = Duration::from_secs(20);
/// The interval of progress updates, and of memory samples within a window.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// The name of the Redis process.
const REDIS: &str = "redis";
const MIB: f64 = 1024.0 * 1024.0;

/// The memory at one moment.
#[derive(Debug, Clone, Default)]
struct Memory {
    resident: BTreeMap<String, u64>,
    redis_used: u64,
}

/// The result of a soak.
#[derive(Debug)]
pub(super) struct SoakResult {
    at_start: Memory,
    warm: Memory,
    end: Memory,
    warm_after: Duration,
    time: Duration,
    outcome: Outcome,
    settled: u64,
}

/// Runs the soak.
pub(super) async fn run(
    arguments: &Arguments,
    gateway: &Authority,
    processes: &[Process],
    time: Duration,
) -> anyhow::Result<SoakResult> {
    let sale = sales::unique_id("soak");
    let admin = Admin::new(&arguments.programs.admin_url)?;
    let terms = sales::single("Soak", TOTAL_MAX);
    admin::create_sale(&admin, std::slice::from_ref(gateway), &sale, &terms).await?;
    let mut settlement = SettlementProgress::connect(&arguments.services, &sale).await?;
    let redis = checker::redis::connect(&arguments.services.redis_url).await?;
    let at_start = memory(processes, &redis).await?;
    let warm_after = WARM.min(time / 5);
    let (warm, end) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let line = progress::bar(time.as_secs(), "soak");
    let begun = Instant::now();
    let watching = async {
        loop {
            let at = begun.elapsed();
            let around_warm = at + WINDOW / 2 >= warm_after && at <= warm_after + WINDOW / 2;
            if around_warm {
                warm.borrow_mut().push(process_usage::resident_bytes(processes));
            }
            if at + WINDOW >= time {
                end.borrow_mut().push(process_usage::resident_bytes(processes));
            }
            line.set_position(at.as_secs());
            tokio::time::sleep(SAMPLE_EVERY).await;
        }
    };
    let plan = Plan {
        target: gateway.clone(),
        sale,
        prefix: "s-".into(),
        connections: usize::from(arguments.connections),
        duration: time,
        rate: Some(arguments.soak_rate),
        payments: None,
    };
    let outcome = request_loop::run(&plan, watching).await?;
    line.finish_and_clear();
    let redis_used = memory(processes, &redis).await?.redis_used;
    settlement.catch_up().await?;
    let settled = settlement.count_orders().await?;
    let [warm, end] = [warm, end].map(RefCell::into_inner).map(medians);
    anyhow::ensure!(!warm.is_empty() && !end.is_empty(), "the soak was too short to sample memory twice");
    let warm = Memory { resident: warm, redis_used: at_start.redis_used };
    let end = Memory { resident: end, redis_used };
    Ok(SoakResult { at_start, warm, end, warm_after, time, outcome, settled })
}

/// Returns the median of each process.
fn medians(samples: Vec<BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut by_name: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (name, bytes) in samples.into_iter().flatten() {
        by_name.entry(name).or_default().push(bytes);
    }
    let median = |mut bytes: Vec<u64>| {
        bytes.sort_unstable();
        bytes[bytes.len() / 2]
    };
    by_name.into_iter().map(|(name, bytes)| (name, median(bytes))).collect()
}

async fn memory(processes: &[Process], redis: &Client) -> anyhow::Result<Memory> {
    let info: String = redis.info(Some(fred::types::InfoKind::Memory)).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let redis_used = used.and_then(|used| used.trim().parse().ok()).context("used_memory of Redis")?;
    Ok(Memory { resident: process_usage::resident_bytes(processes), redis_used })
}

impl SoakResult {
    /// Returns the resident bytes of each process when warm and at the end, and the growth. Redis is
    /// excluded: it grows with its keys, whose pages cannot be separated from the rest.
    fn growths(&self) -> Vec<(String, u64, u64, f64)> {
        let names = self.end.resident.keys().filter(|name| !name.starts_with(REDIS));
        names
            .map(|name| {
                let resident = |memory: &Memory| memory.resident.get(name).copied().unwrap_or(0);
                let (warm, end) = (resident(&self.warm), resident(&self.end));
                (name.clone(), warm, end, (end as f64 / warm.max(1) as f64 - 1.0) * 100.0)
            })
            .collect()
    }

    /// Returns the growth of Redis: the memory in use by keys, and the resident memory including allocator
    /// overhead.
    fn redis_growth(&self) -> (u64, u64) {
        let resident = |memory: &Memory| -> u64 {
            memory.resident.iter().filter(|(name, _)| name.starts_with(REDIS)).map(|(_, bytes)| *bytes).sum()
        };
        let used = self.end.redis_used.saturating_sub(self.at_start.redis_used);
        (used, resident(&self.end).saturating_sub(resident(&self.at_start)))
    }

    /// Returns whether memory did not grow beyond the limit and every order was settled.
    pub(super) fn met(&self) -> bool {
        self.growths().iter().all(|(_, _, _, percent)| *percent <= GROWTH_PERCENT_MAX)
            && self.settled >= self.outcome.accepted_total
    }

    /// Returns the printed report.
    pub(super) fn report(&self) -> String {
        let warm = format!("after {:.0} s, MiB", self.warm_after.as_secs_f64());
        let end = format!("after {:.0} s, MiB", self.time.as_secs_f64());
        let mut table = Table::new(&["resident memory", &warm, &end, "growth, %", ""]);
        for (name, before, after, percent) in self.growths() {
            let verdict = match percent <= GROWTH_PERCENT_MAX {
                true => styled(Style::Good, "met"),
                false => styled(Style::Bad, "missed"),
            };
            let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB);
            table.row([name, mib(before), mib(after), format!("{percent:.1}"), verdict]);
        }
        let orders = self.outcome.accepted_total;
        let (used, resident) = self.redis_growth();
        let each = |bytes: u64| bytes as f64 / orders.max(1) as f64;
        format!(
            "{}\n  {} orders accepted, {} settled; {}\n  Redis uses {:.0} bytes per order, {:.0} resident ({:.1} MiB \
             in total); the other processes may grow by {GROWTH_PERCENT_MAX} %\n\n{table}",
            heading(&format!("Soak of {:.0} s", self.time.as_secs_f64())),
            thousands(orders),
            thousands(self.settled),
            self.outcome.latencies.summary(),
            each(used),
            each(resident),
            resident as f64 / MIB,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_does_not_count_as_growth() {
        let samples = [10, 11, 90, 12, 10].map(|bytes| BTreeMap::from([("gateway-1".to_owned(), bytes)]));
        assert_eq!(medians(samples.to_vec()), BTreeMap::from([("gateway-1".to_owned(), 11)]));
        assert!(medians(Vec::new()).is_empty());
    }
}

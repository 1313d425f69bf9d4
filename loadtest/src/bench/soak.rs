//! The soak: orders at a steady rate for a long time, and whether memory stays where it was.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::sale::TOTAL_MAX;
use fred::prelude::*;

use super::Arguments;
use super::closed_loop::{self, Outcome, Plan};
use super::settled::Settled;
use crate::admin::{self, Admin};
use crate::http::Authority;
use crate::procs;
use crate::progress;
use crate::sales;
use crate::stack::Process;
use crate::table::{Style, Table, heading, styled, thousands};

/// When memory counts as settled; a fifth of a soak that is shorter than five times this.
const WARM: Duration = Duration::from_secs(120);
/// Growth from then on that is allowed, in percent.
const GROWTH_PERCENT_MAX: f64 = 5.0;
/// How often the line is redrawn.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How Redis is called among the processes.
const REDIS: &str = "redis";
const MIB: f64 = 1024.0 * 1024.0;

/// Memory at one moment.
#[derive(Debug, Clone, Default)]
struct Memory {
    resident: BTreeMap<String, u64>,
    redis_used: u64,
}

/// What a soak saw.
#[derive(Debug)]
pub(super) struct Soaked {
    at_start: Memory,
    warm: Memory,
    end: Memory,
    warm_after: Duration,
    time: Duration,
    outcome: Outcome,
    settled: u64,
}

/// Runs it.
pub(super) async fn run(
    arguments: &Arguments,
    gateway: &Authority,
    processes: &[Process],
    time: Duration,
) -> anyhow::Result<Soaked> {
    let sale = sales::fresh_id("soak");
    let admin = Admin::at(&arguments.programs.admin_url)?;
    let terms = sales::single("Soak", TOTAL_MAX);
    admin::make(&admin, std::slice::from_ref(gateway), &sale, &terms).await?;
    let mut settlement = Settled::of(&arguments.services, &sale).await?;
    let redis = crate::check::redis::connect(&arguments.services.redis_url).await?;
    let at_start = memory(processes, &redis).await?;
    let warm_after = WARM.min(time / 5);
    let warm: RefCell<Option<anyhow::Result<Memory>>> = RefCell::new(None);
    let line = progress::bar(time.as_secs(), "soak");
    let begun = Instant::now();
    let watching = async {
        loop {
            if warm.borrow().is_none() && begun.elapsed() >= warm_after {
                let now = memory(processes, &redis).await;
                warm.replace(Some(now));
            }
            line.set_position(begun.elapsed().as_secs());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let plan = Plan {
        target: gateway.clone(),
        sale,
        prefix: "s-".into(),
        connections: usize::from(arguments.connections),
        duration: time,
        rate: Some(arguments.soak_rate),
    };
    let outcome = closed_loop::run(&plan, watching).await?;
    line.finish_and_clear();
    let end = memory(processes, &redis).await?;
    settlement.catch_up().await?;
    let settled = settlement.orders().await?;
    let warm = warm.into_inner().context("the soak was too short to look at memory twice")??;
    Ok(Soaked { at_start, warm, end, warm_after, time, outcome, settled })
}

async fn memory(processes: &[Process], redis: &Client) -> anyhow::Result<Memory> {
    let info: String = redis.info(Some(fred::types::InfoKind::Memory)).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let redis_used = used.and_then(|used| used.trim().parse().ok()).context("used_memory of Redis")?;
    Ok(Memory { resident: procs::resident_bytes(processes), redis_used })
}

impl Soaked {
    /// Each process: resident bytes when warm and at the end. Redis is not among them: it grows with
    /// its keys, and what they take in pages cannot be told from the rest.
    fn growths(&self) -> Vec<(String, u64, u64, f64)> {
        let names = self.end.resident.keys().filter(|name| !name.starts_with(REDIS));
        names
            .map(|name| {
                let of = |memory: &Memory| memory.resident.get(name).copied().unwrap_or(0);
                let (warm, end) = (of(&self.warm), of(&self.end));
                (name.clone(), warm, end, (end as f64 / warm.max(1) as f64 - 1.0) * 100.0)
            })
            .collect()
    }

    /// What Redis grew by: in use by its keys, and resident with what its allocator adds.
    fn redis_growth(&self) -> (u64, u64) {
        let resident = |memory: &Memory| -> u64 {
            memory.resident.iter().filter(|(name, _)| name.starts_with(REDIS)).map(|(_, bytes)| *bytes).sum()
        };
        let used = self.end.redis_used.saturating_sub(self.at_start.redis_used);
        (used, resident(&self.end).saturating_sub(resident(&self.at_start)))
    }

    /// Whether memory stayed, and everything was settled.
    pub(super) fn met(&self) -> bool {
        self.growths().iter().all(|(_, _, _, percent)| *percent <= GROWTH_PERCENT_MAX)
            && self.settled >= self.outcome.accepted_in_all
    }

    /// The table.
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
        let orders = self.outcome.accepted_in_all;
        let (used, resident) = self.redis_growth();
        let each = |bytes: u64| bytes as f64 / orders.max(1) as f64;
        format!(
            "{}\n  {} orders accepted, {} settled; {}\n  Redis keeps {:.0} bytes an order, {:.0} resident ({:.1} MiB \
             in all); the others may grow by {GROWTH_PERCENT_MAX} %\n\n{table}",
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

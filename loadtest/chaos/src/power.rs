//! The checker's own power: with one protection taken out of the programs, a scenario must find harm. A
//! check that never fails proves nothing.
//!
//! The position's compare-and-set is not among them: without it alone, the unique keys of orders and events
//! still refuse whatever a zombie writes, and eight seeds found no harm.

use super::run::run as run_scenario;
use super::scenario::{ALL, Hit, Scenario};
use super::stack::{Faults, Stack};
use terminal::{Table, heading};

/// Seeds tried before a removed protection counts as unnoticed: some need an unlucky moment.
const SEEDS_MAX: u64 = 8;

/// A protection, and what is to notice that it is gone.
struct Protection {
    /// In `FLASHSALE_FAULTS`, as `without:name`.
    name: &'static str,
    says: &'static str,
    /// By which scenario.
    scenario: &'static str,
    /// Where the first gateway is hit instead of where the seed says; empty: as the seed says.
    gateway: &'static str,
    /// Where every settler is to be hit besides; empty: nowhere.
    settlers: &'static str,
    /// Also taken out of the schema.
    schema: &'static str,
    /// One of these invariants must be found violated.
    invariants: &'static [u8],
}

const ORDINARY: Protection = Protection {
    name: "",
    says: "",
    scenario: "clients-gone-after-send",
    gateway: "",
    settlers: "",
    schema: "",
    invariants: &[],
};

const PROTECTIONS: &[Protection] = &[
    Protection {
        name: "stock_check",
        says: "reserve.lua looks at what is left, and Postgres has a constraint",
        scenario: "gateway-killed-before-answer",
        schema: "ALTER TABLE sale_item DROP CONSTRAINT never_oversold",
        invariants: &[1],
        ..ORDINARY
    },
    Protection {
        name: "lease_check",
        says: "the lease is looked at again after the log's acknowledgement",
        scenario: "gateway-stopped-across-rebuild",
        gateway: "gateway.after_reserve=stop@40",
        invariants: &[2],
        ..ORDINARY
    },
    Protection {
        name: "customer_limit",
        says: "reserve.lua counts a customer's live orders",
        scenario: "gateway-killed-before-answer",
        invariants: &[3],
        ..ORDINARY
    },
    Protection {
        name: "replay_first",
        says: "a known key is answered before anything may refuse it",
        scenario: "gateway-killed-before-answer",
        invariants: &[4],
        ..ORDINARY
    },
    Protection {
        name: "outbox_entry",
        says: "reserve.lua writes the outbox in the same call",
        scenario: "gateway-killed-after-reserve",
        // Reconciliation gives units that were lost back; by then others have been sent away as sold out.
        invariants: &[5, 6, 7],
        ..ORDINARY
    },
    Protection {
        name: "lost_check",
        says: "scripts look at the mark and the server's replication id",
        scenario: "redis-failback",
        invariants: &[2, 7],
        ..ORDINARY
    },
    Protection {
        name: "barrier",
        says: "what lies behind the barrier of a later epoch is void",
        scenario: "gateway-stopped-across-rebuild",
        gateway: "gateway.after_reserve=stop@40",
        invariants: &[1, 2, 5, 7, 10],
        ..ORDINARY
    },
    Protection {
        name: "release_rule",
        says: "release.lua applies (after, to] only on top of `after`",
        scenario: "settlement-zombie-releases",
        invariants: &[5],
        ..ORDINARY
    },
    Protection {
        name: "told_before_cursor",
        says: "the cursor of events moves after they are in the topics",
        settlers: "settlement.cursor_moved=kill@4",
        invariants: &[8],
        ..ORDINARY
    },
    Protection {
        name: "one_transaction",
        says: "the position moves in the transaction of what it covers",
        settlers: "settlement.between_transactions=kill@5",
        invariants: &[2, 10],
        ..ORDINARY
    },
    Protection {
        name: "payment_key",
        says: "a charge without an answer is asked for by its id, not tried anew under another",
        scenario: "provider-slow",
        invariants: &[9],
        ..ORDINARY
    },
    Protection {
        name: "late_refund",
        says: "money that comes for an order that is cancelled goes back by itself",
        scenario: "callback-races-expiry",
        invariants: &[9],
        ..ORDINARY
    },
];

/// Takes out one protection after another. True when each was noticed.
pub async fn run(stack: &mut Stack, seed: u64, chosen: &[String]) -> anyhow::Result<bool> {
    let mut table = Table::new(&["without", "noticed by", "seed", "violated", "what it is"]);
    let mut all = true;
    for protection in PROTECTIONS {
        if !chosen.is_empty() && !chosen.iter().any(|wanted| protection.name.starts_with(wanted.as_str())) {
            continue;
        }
        let scenario = ALL.iter().find(|scenario| scenario.name == protection.scenario);
        let scenario = scenario.ok_or_else(|| anyhow::anyhow!("no scenario {}", protection.scenario))?;
        println!("\n  without {}:", protection.name);
        let noticed = noticed(stack, protection, scenario, seed).await;
        all &= noticed.is_some();
        let (seed, violated) = match noticed {
            Some((seed, violated)) => (seed.to_string(), format!("{violated:?}")),
            None => ("–".to_owned(), "NOTHING".to_owned()),
        };
        table.row([protection.name, scenario.name, &seed, &violated, protection.says]);
    }
    println!("{}\n{table}", heading("Protections taken out, and what noticed it"));
    Ok(all)
}

async fn noticed(
    stack: &mut Stack,
    protection: &Protection,
    scenario: &Scenario,
    first: u64,
) -> Option<(u64, Vec<u8>)> {
    for seed in first..first + SEEDS_MAX {
        stack.weaken(protection.name, protection.schema);
        let hit = Hit { gateway: protection.gateway, settlers: protection.settlers, label: protection.name };
        let row = run_scenario(stack, scenario, seed, Some(hit)).await;
        stack.weaken("", "");
        let violated = row.violated();
        if violated.iter().any(|invariant| protection.invariants.contains(invariant)) {
            return Some((seed, violated));
        }
    }
    None
}

impl Faults {
    /// The same, hit where the checker's power is shown.
    pub(super) fn with(mut self, hit: Hit) -> Self {
        if !hit.gateway.is_empty() {
            hit.gateway.clone_into(&mut self.gateways[0]);
        }
        if !hit.settlers.is_empty() {
            for of in &mut self.settlements {
                *of = format!("{of},{}", hit.settlers);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protection_has_a_scenario_and_every_invariant_a_protection() {
        for protection in PROTECTIONS {
            assert!(ALL.iter().any(|scenario| scenario.name == protection.scenario), "{}", protection.name);
        }
        for invariant in 1..=10 {
            assert!(
                PROTECTIONS.iter().any(|protection| protection.invariants.contains(&invariant)),
                "invariant {invariant}"
            );
        }
    }
}

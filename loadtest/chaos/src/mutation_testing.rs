//! Mutation testing of the checker: with one protection removed from the programs, a scenario must find a
//! violation. A check that never fails proves nothing.
//!
//! The position's compare-and-set is not among the protections: without it alone, the unique keys of orders
//! and events still refuse everything that a zombie writes, and eight seeds found no violation.

use super::run::run as run_scenario;
use super::scenario::{ALL, FaultOverride, Scenario};
use super::stack::{Faults, Stack};
use anyhow::Context;
use terminal::{Table, heading};

/// The number of seeds tried before a mutation counts as undetected: some need an unlucky moment.
const SEEDS_MAX: u64 = 8;

/// A protection, and what must detect its removal.
struct Protection {
    /// The name in `FLASHSALE_FAULTS`, as `without:name`.
    name: &'static str,
    description: &'static str,
    /// The scenario that must detect the removal.
    scenario: &'static str,
    /// The fault of the first gateway instead of the one that the seed chooses; empty to leave it to the
    /// seed.
    gateway: &'static str,
    /// An additional fault of every settlement; empty for none.
    settlements: &'static str,
    /// A statement that removes the protection from the schema, too.
    schema: &'static str,
    /// The invariants of which one must be violated.
    invariants: &'static [u8],
}

const DEFAULT: Protection = Protection {
    name: "",
    description: "",
    scenario: "clients-gone-after-send",
    gateway: "",
    settlements: "",
    schema: "",
    invariants: &[],
};

const PROTECTIONS: &[Protection] = &[
    Protection {
        name: "stock_check",
        description: "reserve.lua checks the remaining units, and Postgres has a constraint",
        scenario: "gateway-killed-before-answer",
        schema: "ALTER TABLE sale_item DROP CONSTRAINT never_oversold",
        invariants: &[1],
        ..DEFAULT
    },
    Protection {
        name: "lease_check",
        description: "the lease is checked again after the log's acknowledgement",
        scenario: "gateway-stopped-across-rebuild",
        gateway: "gateway.after_reserve=stop@40",
        invariants: &[2],
        ..DEFAULT
    },
    Protection {
        name: "customer_limit",
        description: "reserve.lua counts a customer's live orders",
        scenario: "gateway-killed-before-answer",
        invariants: &[3],
        ..DEFAULT
    },
    Protection {
        name: "replay_first",
        description: "a known key is answered before anything else may refuse it",
        scenario: "gateway-killed-before-answer",
        invariants: &[4],
        ..DEFAULT
    },
    Protection {
        name: "outbox_entry",
        description: "reserve.lua writes the outbox in the same call",
        scenario: "gateway-killed-after-reserve",
        // Reconciliation returns units that were lost, but by then other customers have been refused as sold
        // out.
        invariants: &[5, 6, 7],
        ..DEFAULT
    },
    Protection {
        name: "lost_check",
        description: "scripts check the mark and the server's replication id",
        scenario: "redis-failback",
        invariants: &[2, 7],
        ..DEFAULT
    },
    Protection {
        name: "barrier",
        description: "records after the barrier of a later epoch are void",
        scenario: "gateway-stopped-across-rebuild",
        gateway: "gateway.after_reserve=stop@40",
        invariants: &[1, 2, 5, 7, 10],
        ..DEFAULT
    },
    Protection {
        name: "release_rule",
        description: "release.lua applies (after, to] only on top of `after`",
        scenario: "settlement-zombie-releases",
        invariants: &[5],
        ..DEFAULT
    },
    Protection {
        name: "published_before_cursor",
        description: "the publish cursor advances after the events are in the topics",
        settlements: "settlement.cursor_moved=kill@4",
        invariants: &[8],
        ..DEFAULT
    },
    Protection {
        name: "one_transaction",
        description: "the position advances in the transaction of the records that it covers",
        settlements: "settlement.between_transactions=kill@5",
        invariants: &[2, 10],
        ..DEFAULT
    },
    Protection {
        name: "payment_key",
        description: "a charge without a response is queried by its id, not retried with another key",
        scenario: "provider-slow",
        invariants: &[9],
        ..DEFAULT
    },
    Protection {
        name: "late_refund",
        description: "a capture for a cancelled order is refunded automatically",
        scenario: "callback-races-expiry",
        invariants: &[9],
        ..DEFAULT
    },
];

/// Removes one protection after another. Returns whether each removal was detected.
pub async fn run(stack: &mut Stack, seed: u64, selected: &[String]) -> anyhow::Result<bool> {
    let mut table = Table::new(&["without", "detected by", "seed", "violated", "protection"]);
    let mut all = true;
    for protection in PROTECTIONS {
        if !selected.is_empty() && !selected.iter().any(|wanted| protection.name.starts_with(wanted.as_str()))
        {
            continue;
        }
        let scenario = ALL.iter().find(|scenario| scenario.name == protection.scenario);
        let scenario = scenario.with_context(|| format!("there is no scenario {}", protection.scenario))?;
        println!("\n  without {}:", protection.name);
        let detection = detect(stack, protection, scenario, seed).await;
        all &= detection.is_some();
        let (seed, violated) = match detection {
            Some((seed, violated)) => (seed.to_string(), format!("{violated:?}")),
            None => ("–".to_owned(), "NOTHING".to_owned()),
        };
        table.row([protection.name, scenario.name, &seed, &violated, protection.description]);
    }
    println!("{}\n{table}", heading("Removed protections and what detected the removal"));
    Ok(all)
}

async fn detect(
    stack: &mut Stack,
    protection: &Protection,
    scenario: &Scenario,
    first: u64,
) -> Option<(u64, Vec<u8>)> {
    for seed in first..first + SEEDS_MAX {
        stack.set_mutation(protection.name, protection.schema);
        let faults = FaultOverride {
            gateway: protection.gateway,
            settlements: protection.settlements,
            label: protection.name,
        };
        let row = run_scenario(stack, scenario, seed, Some(faults)).await;
        stack.set_mutation("", "");
        let violated = row.violated();
        if violated.iter().any(|invariant| protection.invariants.contains(invariant)) {
            return Some((seed, violated));
        }
    }
    None
}

impl Faults {
    /// Returns the faults with those that a mutation needs.
    pub(super) fn overridden_by(mut self, faults: FaultOverride) -> Self {
        if !faults.gateway.is_empty() {
            faults.gateway.clone_into(&mut self.gateways[0]);
        }
        if !faults.settlements.is_empty() {
            for settlement in &mut self.settlements {
                *settlement = format!("{settlement},{}", faults.settlements);
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

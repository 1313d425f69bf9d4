//! The scenarios: for each one the load, the faults of the programs, and what is done to the services. The
//! seed's random numbers decide every choice within a scenario.

mod context;
mod double_faults;
mod downstream;
mod gateways;
mod kafka;
mod operator;
mod poison;
mod postgres;
mod provider;
mod redis;
mod settlement;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::context::Stage;
use super::buyers::{self, Behaviors};
use super::downstream::{DownstreamProgram, RETRY_PAUSES_MS};
use super::stack::Faults;
use customers::population::Customer;
use fastrand::Rng;

/// A scenario: a fault and the load during it.
pub struct Scenario {
    /// The name on the command line.
    pub name: &'static str,
    /// The description for `--list`.
    pub description: &'static str,
    /// The units of the sale, over two items.
    pub units: u64,
    /// The customers of the burst; fewer than would sell everything, so that the recovery is visible.
    pub customers: u64,
    /// The duration of the burst.
    pub duration: Duration,
    /// The duration of holds, around whose end customers cancel or pay. `None`: holds outlive the scenario,
    /// and everything is sold.
    pub hold: Option<Duration>,
    /// How customers pay, with the downstream programs running.
    pub behaviors: Option<Behaviors>,
    /// The pauses between the attempts of an event at the consumers, in milliseconds.
    pub retry_pauses_ms: [&'static str; 2],
    /// Whether the scenario takes minutes.
    pub long: bool,
    /// Changes a customer before the burst.
    pub change_customer: fn(&mut Customer),
    /// Returns the faults of the programs at their start.
    pub faults: fn(&mut Rng) -> Faults,
    /// Prepares the environment before the sale is created.
    pub prepare: Step,
    /// Injects the fault during the burst, and returns when its cause has ended.
    pub inject_fault: Step,
}

/// A step of a scenario.
pub type Step = for<'a, 's> fn(&'a mut Stage<'s>) -> BoxFuture<'a, anyhow::Result<()>>;

/// Faults that a mutation needs in addition to those of the scenario.
#[derive(Debug, Clone, Copy)]
pub struct FaultOverride {
    /// The fault of the first gateway; empty to keep that of the scenario.
    pub gateway: &'static str,
    /// The additional fault of every settlement.
    pub settlements: &'static str,
    /// The removed protection.
    pub label: &'static str,
}

/// The defaults of most scenarios.
const DEFAULT: Scenario = Scenario {
    name: "",
    description: "",
    units: 1_500,
    customers: 900,
    duration: Duration::from_secs(4),
    hold: None,
    behaviors: None,
    retry_pauses_ms: RETRY_PAUSES_MS,
    long: false,
    change_customer: |_| {},
    faults: |_| Faults::default(),
    prepare: |_| Box::pin(async { Ok(()) }),
    inject_fault: |_| Box::pin(async { Ok(()) }),
};

/// An outage of half a minute: customers arrive more slowly and during the whole outage.
const LONG: Scenario =
    Scenario { units: 2_400, customers: 1_500, duration: Duration::from_secs(34), ..DEFAULT };

/// Customers pay, and unpaid orders expire. The whole lifecycle of an order takes some seconds.
const PAYING: Scenario = Scenario {
    customers: 400,
    duration: Duration::from_secs(6),
    hold: Some(Duration::from_secs(6)),
    behaviors: Some(buyers::MIXED),
    ..DEFAULT
};

/// Every scenario, in the order of running.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "gateway-killed-after-reserve",
        description: "SIGKILL with units reserved and no record in the log",
        faults: |rng| gateways::first(rng, "gateway.after_reserve"),
        inject_fault: |stage| Box::pin(gateways::killed(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "gateway-killed-after-produce",
        description: "SIGKILL with a record in flight to the log",
        faults: |rng| gateways::first(rng, "gateway.after_produce"),
        inject_fault: |stage| Box::pin(gateways::killed(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "gateway-killed-before-acknowledgement",
        description: "SIGKILL with the acknowledgement of the log unread",
        faults: |rng| gateways::first(rng, "gateway.before_acknowledgement"),
        inject_fault: |stage| Box::pin(gateways::killed(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "gateway-killed-before-answer",
        description: "SIGKILL with 202s decided but not sent",
        faults: |rng| gateways::first(rng, "gateway.before_answer"),
        inject_fault: |stage| Box::pin(gateways::killed(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "clients-gone-after-send",
        description: "every customer hangs up after sending; half of them never retry",
        change_customer: gateways::hang_up,
        ..DEFAULT
    },
    Scenario {
        name: "gateway-stopped-across-rebuild",
        description: "SIGSTOP somewhere between reservation and answer, a rebuild, SIGCONT",
        faults: gateways::stopped_somewhere,
        inject_fault: |stage| Box::pin(gateways::stopped_across_rebuild(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-killed-and-empty",
        description: "SIGKILL, restarted without data",
        inject_fault: |stage| Box::pin(redis::killed_and_empty(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-killed-and-old",
        description: "SIGKILL, restarted from a copy that is 30 s old",
        inject_fault: |stage| Box::pin(redis::killed_and_old(stage)),
        ..LONG
    },
    Scenario {
        name: "redis-stopped",
        description: "SIGSTOP for 10 s",
        duration: Duration::from_secs(14),
        inject_fault: |stage| Box::pin(redis::stopped(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-flushed",
        description: "FLUSHALL, which keeps scripts",
        inject_fault: |stage| Box::pin(redis::flushed(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-scripts-flushed",
        description: "SCRIPT FLUSH, which keeps data",
        inject_fault: |stage| Box::pin(redis::scripts_flushed(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-full",
        description: "maxmemory is reached for a few seconds",
        duration: Duration::from_secs(8),
        inject_fault: |stage| Box::pin(redis::full(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-failover",
        description: "the primary is killed, a lagging replica replaces it",
        prepare: |stage| Box::pin(redis::with_replica(stage)),
        inject_fault: |stage| Box::pin(redis::failed_over(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-failback",
        description: "to a lagging replica and back: scripts survive, data is older",
        prepare: |stage| Box::pin(redis::with_replica(stage)),
        inject_fault: |stage| Box::pin(redis::failed_back(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-split",
        description: "two primaries: one gateway uses the first, all other programs the second",
        duration: Duration::from_secs(12),
        prepare: |stage| Box::pin(redis::with_replica(stage)),
        inject_fault: |stage| Box::pin(redis::split(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "kafka-killed",
        description: "SIGKILL, and a restart",
        duration: Duration::from_secs(8),
        inject_fault: |stage| Box::pin(kafka::killed(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "kafka-stopped",
        description: "SIGSTOP for 30 s",
        inject_fault: |stage| Box::pin(kafka::stopped(stage)),
        ..LONG
    },
    Scenario {
        name: "kafka-acknowledgements-dropped",
        description: "records arrive, their acknowledgements do not",
        duration: Duration::from_secs(10),
        inject_fault: |stage| Box::pin(kafka::acknowledgements_dropped(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "settlement-killed-often",
        description: "SIGKILL every 2 s, alternating between the two",
        duration: Duration::from_secs(10),
        inject_fault: |stage| Box::pin(settlement::killed_often(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "settlement-zombie",
        description: "SIGSTOP until the other instance has taken over, SIGCONT",
        duration: Duration::from_secs(10),
        faults: settlement::stopped_with_a_batch,
        inject_fault: |stage| Box::pin(settlement::zombie(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "settlement-zombie-releases",
        description: "SIGSTOP right before units are released, until the other instance has released them",
        duration: Duration::from_secs(10),
        faults: settlement::stopped_before_release,
        inject_fault: |stage| Box::pin(settlement::zombie_releases(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "settlement-killed-in-rebuild",
        description: "SIGKILL at a step of a rebuild; the seed decides which",
        duration: Duration::from_secs(6),
        faults: settlement::killed_at_step,
        inject_fault: |stage| Box::pin(settlement::killed_in_rebuild(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "postgres-killed",
        description: "SIGKILL, and a restart",
        duration: Duration::from_secs(8),
        inject_fault: |stage| Box::pin(postgres::killed(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "postgres-commit-reply-cut",
        description: "a batch is committed, and settlement does not receive the reply",
        faults: postgres::stopped_before_commit,
        inject_fault: |stage| Box::pin(postgres::commit_reply_cut(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "log-poisoned",
        description: "1 % of the records cannot be decoded or refer to unknown sales",
        inject_fault: |stage| Box::pin(poison::poisoned(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "expiry-races-cancel",
        description: "10,000 customers cancel before, around and after the end of their hold",
        units: 4_000,
        customers: 10_000,
        duration: Duration::from_secs(20),
        hold: Some(Duration::from_secs(2)),
        ..DEFAULT
    },
    Scenario {
        name: "operator-changes-totals",
        description: "totals are raised and lowered during the burst",
        duration: Duration::from_secs(6),
        inject_fault: |stage| Box::pin(operator::changes_totals(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-and-gateway",
        description: "both killed within half a second",
        duration: Duration::from_secs(6),
        inject_fault: |stage| Box::pin(double_faults::redis_and_gateway(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "redis-and-settlement",
        description: "both killed within half a second",
        duration: Duration::from_secs(6),
        inject_fault: |stage| Box::pin(double_faults::redis_and_settlement(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "kafka-and-gateway",
        description: "both killed within half a second",
        duration: Duration::from_secs(8),
        inject_fault: |stage| Box::pin(double_faults::kafka_and_gateway(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "postgres-and-settlement",
        description: "both killed within half a second",
        duration: Duration::from_secs(8),
        inject_fault: |stage| Box::pin(double_faults::postgres_and_settlement(stage)),
        ..DEFAULT
    },
    Scenario {
        name: "provider-down",
        description: "the card provider is unreachable or killed for 20 to 22 s",
        duration: Duration::from_secs(22),
        hold: Some(Duration::from_secs(12)),
        inject_fault: |stage| Box::pin(provider::down(stage)),
        ..PAYING
    },
    Scenario {
        name: "provider-slow",
        description: "the card provider responds after the timeout of payments",
        inject_fault: |stage| Box::pin(provider::slow(stage)),
        ..PAYING
    },
    Scenario {
        name: "provider-lies-twice",
        description: "duplicate and contradictory callbacks, lost responses, callbacks late and out of order",
        behaviors: Some(buyers::UNRELIABLE_PROVIDER),
        inject_fault: |stage| Box::pin(provider::lies_twice(stage)),
        ..PAYING
    },
    Scenario {
        name: "callback-races-expiry",
        description: "payments are captured at the moment when the hold ends",
        hold: Some(Duration::from_secs(3)),
        behaviors: Some(buyers::AROUND_EXPIRY),
        inject_fault: |stage| Box::pin(provider::jitters(stage)),
        ..PAYING
    },
    Scenario {
        name: "callback-races-cancel",
        description: "payments are captured at the moment when the customer cancels",
        behaviors: Some(buyers::AROUND_CANCELLATION),
        inject_fault: |stage| Box::pin(provider::jitters(stage)),
        ..PAYING
    },
    Scenario {
        name: "notification-target-down",
        description: "the receiver of notifications is unreachable for 8 to 10 s",
        inject_fault: |stage| Box::pin(downstream::target_down(stage, 8_000, 10_000)),
        ..PAYING
    },
    Scenario {
        name: "notification-away-for-long",
        description: "the receiver of notifications is unreachable for a minute, pauses as in production",
        retry_pauses_ms: ["5000", "120000"],
        long: true,
        inject_fault: |stage| Box::pin(downstream::target_down(stage, 60_000, 60_000)),
        ..PAYING
    },
    Scenario {
        name: "payments-killed",
        description: "SIGKILL before, between and after calling provider and log, and again at any point",
        faults: |rng| downstream::killed_at(rng, DownstreamProgram::Payments),
        inject_fault: |stage| Box::pin(downstream::killed(stage, DownstreamProgram::Payments)),
        ..PAYING
    },
    Scenario {
        name: "notification-killed",
        description: "SIGKILL before, between and after sending and storing, and again at any point",
        faults: |rng| downstream::killed_at(rng, DownstreamProgram::Notification),
        inject_fault: |stage| Box::pin(downstream::killed_while_sending(stage)),
        ..PAYING
    },
    Scenario {
        name: "analytics-killed",
        description: "SIGKILL before and after a commit, and again at any point",
        faults: |rng| downstream::killed_at(rng, DownstreamProgram::Analytics),
        inject_fault: |stage| Box::pin(downstream::killed(stage, DownstreamProgram::Analytics)),
        ..PAYING
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_valid_in_a_database_name() {
        let mut names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(names.iter().all(|name| name.len() <= 40 && !name.is_empty()));
    }

    #[test]
    fn a_seed_decides_the_faults() {
        for scenario in ALL {
            let [one, two] = [7, 7].map(|seed| format!("{:?}", (scenario.faults)(&mut Rng::with_seed(seed))));
            assert_eq!(one, two, "{}", scenario.name);
        }
    }
}

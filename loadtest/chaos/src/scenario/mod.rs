//! The scenarios: for each, who comes, which processes are to fail where, and what is done to the
//! services. Every choice within a scenario is thrown with the seed's dice.

mod both;
mod followers;
mod gateways;
mod kafka;
mod operator;
mod poison;
mod postgres;
mod provider;
mod redis;
mod settlement;
mod stage;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::stage::Stage;
use super::buyers::{self, Habits};
use super::followers::{Follower, TRIES_MS};
use super::stack::Faults;
use customers::crowd::{Customer, Dice};

/// What breaks, and under which load.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// For `--list`.
    pub says: &'static str,
    /// Units of the sale, over two items.
    pub units: u64,
    /// Customers of the burst; fewer than would sell everything, so that recovery can be seen.
    pub customers: u64,
    /// How long they come.
    pub lasts: Duration,
    /// Holds end after so long, and customers cancel around that time; at the end nobody has anything.
    /// `None`: holds outlive the scenario, and all is sold.
    pub hold: Option<Duration>,
    /// Customers pay, in these ways, and what follows the events runs.
    pub habits: Option<Habits>,
    /// What follows the events tries again so many milliseconds after its first and its second try.
    pub tries_ms: [&'static str; 2],
    /// Takes minutes.
    pub long: bool,
    /// Changes what a customer does.
    pub manner: fn(&mut Customer),
    /// What the programs are told at their start.
    pub faults: fn(&mut Dice) -> Faults,
    /// What must be so before the sale is made.
    pub prepare: Step,
    /// What happens beside the burst. It ends when the cause has ended.
    pub strike: Step,
}

/// A part of a scenario.
pub type Step = for<'a, 's> fn(&'a mut Stage<'s>) -> BoxFuture<'a, anyhow::Result<()>>;

/// What the checker's power is shown with, besides the scenario's own.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// Where the first gateway is hit; empty: as the scenario says.
    pub gateway: &'static str,
    /// Where every settler is hit, besides.
    pub settlers: &'static str,
    /// The protection that was taken out.
    pub label: &'static str,
}

/// What most scenarios have in common.
const ORDINARY: Scenario = Scenario {
    name: "",
    says: "",
    units: 1_500,
    customers: 900,
    lasts: Duration::from_secs(4),
    hold: None,
    habits: None,
    tries_ms: TRIES_MS,
    long: false,
    manner: |_| {},
    faults: |_| Faults::default(),
    prepare: |_| Box::pin(async { Ok(()) }),
    strike: |_| Box::pin(async { Ok(()) }),
};

/// An outage of half a minute: customers come more slowly, and all the time.
const LONG: Scenario =
    Scenario { units: 2_400, customers: 1_500, lasts: Duration::from_secs(34), ..ORDINARY };

/// Customers pay; what was not paid in time expires. A whole life of an order lasts some seconds.
const PAYING: Scenario = Scenario {
    customers: 400,
    lasts: Duration::from_secs(6),
    hold: Some(Duration::from_secs(6)),
    habits: Some(buyers::EVERY_KIND),
    ..ORDINARY
};

/// All of them, in the order in which they run.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "gateway-killed-after-reserve",
        says: "SIGKILL with units taken and nothing in the log",
        faults: |dice| gateways::first(dice, "gateway.after_reserve"),
        strike: |stage| Box::pin(gateways::killed(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "gateway-killed-after-produce",
        says: "SIGKILL with a record on its way into the log",
        faults: |dice| gateways::first(dice, "gateway.after_produce"),
        strike: |stage| Box::pin(gateways::killed(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "gateway-killed-before-acknowledgement",
        says: "SIGKILL with the log's acknowledgement unread",
        faults: |dice| gateways::first(dice, "gateway.before_acknowledgement"),
        strike: |stage| Box::pin(gateways::killed(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "gateway-killed-before-answer",
        says: "SIGKILL with 202s decided and not sent",
        faults: |dice| gateways::first(dice, "gateway.before_answer"),
        strike: |stage| Box::pin(gateways::killed(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "clients-gone-after-send",
        says: "every customer hangs up after sending; half of them never come back",
        manner: gateways::hang_up,
        ..ORDINARY
    },
    Scenario {
        name: "gateway-stopped-across-rebuild",
        says: "SIGSTOP somewhere between reservation and answer, a rebuild, SIGCONT",
        faults: gateways::stopped_somewhere,
        strike: |stage| Box::pin(gateways::stopped_across_rebuild(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-killed-and-empty",
        says: "SIGKILL, started again with nothing",
        strike: |stage| Box::pin(redis::killed_and_empty(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-killed-and-old",
        says: "SIGKILL, started again from a copy that is 30 s old",
        strike: |stage| Box::pin(redis::killed_and_old(stage)),
        ..LONG
    },
    Scenario {
        name: "redis-stopped",
        says: "SIGSTOP for 10 s",
        lasts: Duration::from_secs(14),
        strike: |stage| Box::pin(redis::stopped(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-flushed",
        says: "FLUSHALL, which keeps scripts",
        strike: |stage| Box::pin(redis::flushed(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-scripts-flushed",
        says: "SCRIPT FLUSH, which keeps data",
        strike: |stage| Box::pin(redis::scripts_flushed(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-full",
        says: "maxmemory is reached for some seconds",
        lasts: Duration::from_secs(8),
        strike: |stage| Box::pin(redis::full(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-failover",
        says: "the primary dies, a replica that lags takes its place",
        prepare: |stage| Box::pin(redis::with_replica(stage)),
        strike: |stage| Box::pin(redis::failed_over(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-failback",
        says: "to a replica that lags and back: scripts survive, data goes back",
        prepare: |stage| Box::pin(redis::with_replica(stage)),
        strike: |stage| Box::pin(redis::failed_back(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-split",
        says: "two primaries: a gateway at one, everyone else at the other",
        lasts: Duration::from_secs(12),
        prepare: |stage| Box::pin(redis::with_replica(stage)),
        strike: |stage| Box::pin(redis::split(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "kafka-killed",
        says: "SIGKILL, and started again",
        lasts: Duration::from_secs(8),
        strike: |stage| Box::pin(kafka::killed(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "kafka-stopped",
        says: "SIGSTOP for 30 s",
        strike: |stage| Box::pin(kafka::stopped(stage)),
        ..LONG
    },
    Scenario {
        name: "kafka-acknowledgements-dropped",
        says: "records arrive, their acknowledgements do not",
        lasts: Duration::from_secs(10),
        strike: |stage| Box::pin(kafka::acknowledgements_dropped(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "settlement-killed-often",
        says: "SIGKILL every 2 s, now one and now the other",
        lasts: Duration::from_secs(10),
        strike: |stage| Box::pin(settlement::killed_often(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "settlement-zombie",
        says: "SIGSTOP until the other has taken over, SIGCONT",
        lasts: Duration::from_secs(10),
        faults: settlement::stopped_with_a_batch,
        strike: |stage| Box::pin(settlement::zombie(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "settlement-zombie-releases",
        says: "SIGSTOP with units about to be given back, until the other has given them back",
        lasts: Duration::from_secs(10),
        faults: settlement::stopped_before_release,
        strike: |stage| Box::pin(settlement::zombie_releases(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "settlement-killed-in-rebuild",
        says: "SIGKILL at a step of a rebuild; the seed says at which",
        lasts: Duration::from_secs(6),
        faults: settlement::killed_at_step,
        strike: |stage| Box::pin(settlement::killed_in_rebuild(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "postgres-killed",
        says: "SIGKILL, and started again",
        lasts: Duration::from_secs(8),
        strike: |stage| Box::pin(postgres::killed(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "postgres-commit-reply-cut",
        says: "a batch is committed, and settlement never hears of it",
        faults: postgres::stopped_before_commit,
        strike: |stage| Box::pin(postgres::commit_reply_cut(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "log-poisoned",
        says: "1 % of the records cannot be read, or speak of what is not there",
        strike: |stage| Box::pin(poison::poisoned(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "expiry-races-cancel",
        says: "10,000 customers cancel long before, around and after the end of their hold",
        units: 4_000,
        customers: 10_000,
        lasts: Duration::from_secs(20),
        hold: Some(Duration::from_secs(2)),
        ..ORDINARY
    },
    Scenario {
        name: "operator-changes-totals",
        says: "totals go up and down during the burst",
        lasts: Duration::from_secs(6),
        strike: |stage| Box::pin(operator::changes_totals(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-and-gateway",
        says: "both killed within half a second",
        lasts: Duration::from_secs(6),
        strike: |stage| Box::pin(both::redis_and_gateway(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "redis-and-settlement",
        says: "both killed within half a second",
        lasts: Duration::from_secs(6),
        strike: |stage| Box::pin(both::redis_and_settlement(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "kafka-and-gateway",
        says: "both killed within half a second",
        lasts: Duration::from_secs(8),
        strike: |stage| Box::pin(both::kafka_and_gateway(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "postgres-and-settlement",
        says: "both killed within half a second",
        lasts: Duration::from_secs(8),
        strike: |stage| Box::pin(both::postgres_and_settlement(stage)),
        ..ORDINARY
    },
    Scenario {
        name: "provider-down",
        says: "the card provider is refused, or killed, for 20 to 22 s, and back",
        lasts: Duration::from_secs(22),
        hold: Some(Duration::from_secs(12)),
        strike: |stage| Box::pin(provider::down(stage)),
        ..PAYING
    },
    Scenario {
        name: "provider-slow",
        says: "the card provider answers later than payments waits",
        strike: |stage| Box::pin(provider::slow(stage)),
        ..PAYING
    },
    Scenario {
        name: "provider-lies-twice",
        says: "results told twice and contradicted, answers lost, callbacks late and out of order",
        habits: Some(buyers::LIED_TO),
        strike: |stage| Box::pin(provider::lies_twice(stage)),
        ..PAYING
    },
    Scenario {
        name: "callback-races-expiry",
        says: "money is taken in the moment in which the hold ends",
        hold: Some(Duration::from_secs(3)),
        habits: Some(buyers::AROUND_THE_END),
        strike: |stage| Box::pin(provider::jitters(stage)),
        ..PAYING
    },
    Scenario {
        name: "callback-races-cancel",
        says: "money is taken in the moment in which the customer cancels",
        habits: Some(buyers::MEANWHILE),
        strike: |stage| Box::pin(provider::jitters(stage)),
        ..PAYING
    },
    Scenario {
        name: "notification-target-down",
        says: "who is told what became of orders is away for 8 to 10 s",
        strike: |stage| Box::pin(followers::target_down(stage, 8_000, 10_000)),
        ..PAYING
    },
    Scenario {
        name: "notification-away-for-long",
        says: "who is told what became of orders is away for a minute, tries as in production",
        tries_ms: ["5000", "120000"],
        long: true,
        strike: |stage| Box::pin(followers::target_down(stage, 60_000, 60_000)),
        ..PAYING
    },
    Scenario {
        name: "payments-killed",
        says: "SIGKILL before, between and after provider and log, and again anywhere",
        faults: |dice| followers::killed_at(dice, Follower::Payments),
        strike: |stage| Box::pin(followers::killed(stage, Follower::Payments)),
        ..PAYING
    },
    Scenario {
        name: "notification-killed",
        says: "SIGKILL before, between and after sending and remembering, and again anywhere",
        faults: |dice| followers::killed_at(dice, Follower::Notification),
        strike: |stage| Box::pin(followers::killed_in_talk(stage)),
        ..PAYING
    },
    Scenario {
        name: "analytics-killed",
        says: "SIGKILL before and after a commit, and again anywhere",
        faults: |dice| followers::killed_at(dice, Follower::Analytics),
        strike: |stage| Box::pin(followers::killed(stage, Follower::Analytics)),
        ..PAYING
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_fit_a_database() {
        let mut names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(names.iter().all(|name| name.len() <= 40 && !name.is_empty()));
    }

    #[test]
    fn a_seed_decides_where_it_happens() {
        for scenario in ALL {
            let [one, two] = [7, 7].map(|seed| format!("{:?}", (scenario.faults)(&mut Dice::new(seed))));
            assert_eq!(one, two, "{}", scenario.name);
        }
    }
}

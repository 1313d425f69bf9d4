//! Counterexamples in words: what was done, and what came of it.

use crate::config::Fault;
use crate::state::{Phase, Record};
use crate::{Action, State, World};

const CUSTOMERS: [&str; 3] = ["Ann", "Ben", "Cem"];
const SERVERS: [&str; 2] = ["Redis A", "Redis B"];

impl World {
    /// A line for each step from the first state on.
    pub(crate) fn describe(&self, actions: &[Action]) -> Vec<String> {
        let mut state = self.first_state();
        self.normalise(&mut state);
        let lines = actions.iter().map(|action| {
            let before = state;
            self.perform(&mut state, *action);
            self.step(&before, *action, &state)
        });
        lines.collect()
    }

    fn step(&self, before: &State, action: Action, after: &State) -> String {
        let gateway = |gateway: u8| format!("gateway {}", gateway + 1);
        let redis = |server: u8| SERVERS[usize::from(server)];
        let attempt = |rebuilder: u8| {
            format!("the rebuild of epoch {}", before.rebuilders[usize::from(rebuilder)].epoch)
        };
        match action {
            Action::Send { order, gateway: at } => {
                let epoch = after.tries[usize::from(order)].epoch.max(before.views[usize::from(at)]);
                format!("{} sends {} to Redis, under epoch {epoch}", gateway(at), self.name(order))
            }
            Action::RefuseFast { order, gateway: at } => {
                format!(
                    "{} refuses {} from memory: {}",
                    gateway(at),
                    self.name(order),
                    self.outcome(after, order)
                )
            }
            Action::Reserve { order, server } => {
                format!(
                    "{} runs the script for {}: {}",
                    redis(server),
                    self.name(order),
                    self.outcome(after, order)
                )
            }
            Action::Append { order } => format!("the log has the record of {}", self.name(order)),
            Action::LoseRecord { order } => {
                format!(
                    "the record of {} is lost on its way to the log (or its gateway dies)",
                    self.name(order)
                )
            }
            Action::Acknowledge { order } => {
                format!(
                    "the acknowledgement reaches the gateway: {} is told {}",
                    self.customer(order),
                    self.outcome(after, order)
                )
            }
            Action::ReadSales { gateway: at } => match after.views[usize::from(at)] {
                0 => format!("{} loses its lease, or reads that a rebuild has begun", gateway(at)),
                epoch => format!("{} reads that epoch {epoch} is ready", gateway(at)),
            },
            Action::Look { gateway: at, server } => {
                format!("{} looks at the stock in {}: nothing is left", gateway(at), redis(server))
            }
            Action::LookExpires { gateway: at } => {
                format!("what {} saw is too old to refuse from", gateway(at))
            }
            Action::Forget { order, server } => {
                let why = if before.logged.has(order) { ", as the log has it" } else { "" };
                format!("{} deletes {} from the outbox{why}", redis(server), self.name(order))
            }
            Action::Relay { order, server } => {
                format!(
                    "the relay finds {} in the outbox of {} and produces it",
                    self.name(order),
                    redis(server)
                )
            }
            Action::Cancel { order } => {
                format!("the log has a cancellation of {} (a tick's or a customer's)", self.name(order))
            }
            Action::TakeOver { owner } => {
                format!("settler {} takes the partition over; the other one does not know", owner + 1)
            }
            Action::Settle { owner } => self.settled(before, owner, after),
            Action::FindReleases { releaser, server } => {
                let call = after.releases[usize::from(releaser)];
                let names: Vec<_> = call.orders.each().map(|order| self.name(order)).collect();
                format!(
                    "releaser {} finds {} at watermark {}, and calls for the units of {} up to {}",
                    releaser + 1,
                    redis(server),
                    call.after,
                    names.join(" and "),
                    call.to
                )
            }
            Action::Release { releaser, server } => {
                let call = before.releases[usize::from(releaser)];
                let came = after.keys(server, call.epoch) != before.keys(server, call.epoch);
                let result = if came { "the units are back" } else { "not applied" };
                format!("{} runs the call of releaser {}: {result}", redis(server), releaser + 1)
            }
            Action::Mature { server, epoch } => {
                format!("returned units of epoch {epoch} can be taken in {}", redis(server))
            }
            Action::Begin { rebuilder, server } => {
                let epoch = after.rebuilders[usize::from(rebuilder)].epoch;
                format!("a rebuild begins on {}: epoch {epoch}, published", redis(server))
            }
            Action::Outwait { rebuilder } => match self.config.protections.lease {
                true => format!("{} has outwaited the leases", attempt(rebuilder)),
                false => format!("{} waits for no lease", attempt(rebuilder)),
            },
            Action::Drain { rebuilder, order } => {
                format!("{} finds {} in the old outbox and produces it", attempt(rebuilder), self.name(order))
            }
            Action::Fence { rebuilder } => match self.config.protections.barrier {
                true => format!("{} appends its barrier to the log", attempt(rebuilder)),
                false => format!("{} goes on without a barrier", attempt(rebuilder)),
            },
            Action::WriteSnapshot { rebuilder } => {
                let it = before.rebuilders[usize::from(rebuilder)];
                let keys = after.keys(it.server, it.epoch);
                format!(
                    "{} writes what Postgres has: {} available, next sequence {}",
                    attempt(rebuilder),
                    keys.available,
                    keys.next
                )
            }
            Action::Seal { rebuilder } => {
                format!("{} loads its scripts and sets its mark", attempt(rebuilder))
            }
            Action::Finish { rebuilder } => format!("{} is done: ready, and published", attempt(rebuilder)),
            Action::GiveUp { rebuilder } => format!("{} is given up", attempt(rebuilder)),
            Action::CatchUp => "the replica, or the copy on disk, is as Redis A is now".into(),
            Action::Fail(fault) => match fault {
                Fault::RestartEmpty => "Redis A restarts, empty",
                Fault::RestartOld => "Redis A restarts from an old copy",
                Fault::RestartWhole => "Redis A restarts with all its data, or loses its scripts",
                Fault::FlushAll => "FLUSHALL on Redis A: data gone, scripts and replication id stay",
                Fault::Failover => {
                    "the replica is promoted: Redis B, from what it had; Redis A still answers some"
                }
                Fault::Failback => {
                    "Redis A takes Redis B's data and is promoted again; its scripts have survived"
                }
            }
            .into(),
        }
    }

    fn settled(&self, before: &State, owner: u8, after: &State) -> String {
        let settler = format!("settler {}", owner + 1);
        let Some(memory) = before.owners[usize::from(owner)] else { return settler };
        if memory != before.postgres.position && self.config.protections.compare_and_set {
            return format!(
                "{settler} is fenced: another one has settled since; it reads its position again"
            );
        }
        let late = if memory != before.postgres.position { " (settled before!)" } else { "" };
        let (was, is) = (before.postgres, after.postgres);
        match before.log.read(memory.offset) {
            Some(Record::Acceptance(order)) => {
                let name = self.name(order);
                let result = if is.rows != was.rows {
                    format!("row {} with sequence {}", name, before.tries[usize::from(order)].sequence)
                } else if is.refused != was.refused {
                    format!("{name}: Postgres refuses it (guard trip)")
                } else if was.refused.has(order) {
                    format!("{name}: refused again")
                } else if was.rows.has(order) {
                    format!("{name}: a double, dropped")
                } else {
                    format!("{name}: void, its epoch had ended")
                };
                format!("{settler} settles{late}: {result}")
            }
            Some(Record::Barrier(epoch)) => format!("{settler} settles{late} the barrier of epoch {epoch}"),
            Some(Record::Cancel(order)) => {
                let result =
                    if is.cancelled != was.cancelled { "its units are free" } else { "nothing to cancel" };
                format!("{settler} settles{late} the cancellation of {}: {result}", self.name(order))
            }
            None => settler,
        }
    }

    fn customer(&self, order: u8) -> &'static str {
        CUSTOMERS[usize::from(self.request(order).customer)]
    }

    fn name(&self, order: u8) -> String {
        let request = self.request(order);
        let units = if request.units == 1 { String::new() } else { format!(", {} units", request.units) };
        let before = (0..order).filter(|other| self.is_same_key(order, *other)).count();
        let repeat = if before == 0 { "" } else { ", repeated" };
        format!("{}'s order (key {}{units}{repeat})", self.customer(order), request.key)
    }

    fn outcome(&self, state: &State, order: u8) -> String {
        let attempt = state.tries[usize::from(order)];
        match attempt.phase {
            Phase::Idle | Phase::Calling | Phase::Appended => String::new(),
            Phase::Producing => format!("accepted, sequence {}", attempt.sequence),
            Phase::Unknown => "503: nothing is known, or the state is lost".into(),
            Phase::Accepted => "202".into(),
            Phase::Replayed(first) => format!("202, for {}", self.name(first)),
            Phase::SoldOut { justified: true, .. } => "409 sold out".into(),
            Phase::SoldOut { justified: false, .. } => "409 sold out, though it is not".into(),
            Phase::Duplicate { .. } => "409 already ordered".into(),
        }
    }
}

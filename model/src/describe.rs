//! Describes counterexamples in English: each action and its result.

use crate::config::Fault;
use crate::state::{Phase, Record};
use crate::{Action, State, World};

const CUSTOMERS: [&str; 3] = ["Ann", "Ben", "Cem"];
const SERVERS: [&str; 2] = ["Redis A", "Redis B"];

impl World {
    /// Returns one line for each action, starting at the first state.
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
            Action::Send { order, gateway: index } => {
                let epoch = after.tries[usize::from(order)].epoch.max(before.views[usize::from(index)]);
                format!("{} sends {} to Redis, under epoch {epoch}", gateway(index), self.name(order))
            }
            Action::RefuseFast { order, gateway: index } => {
                format!(
                    "{} refuses {} from its stock snapshot: {}",
                    gateway(index),
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
            Action::Append { order } => format!("the record of {} is appended to the log", self.name(order)),
            Action::LoseRecord { order } => {
                format!(
                    "the record of {} is lost before it reaches the log (or its gateway crashes)",
                    self.name(order)
                )
            }
            Action::Acknowledge { order } => {
                format!(
                    "the acknowledgement reaches the gateway, which answers {}: {}",
                    self.customer(order),
                    self.outcome(after, order)
                )
            }
            Action::ReadSales { gateway: index } => match after.views[usize::from(index)] {
                0 => format!("{} loses its lease, or reads that a rebuild has begun", gateway(index)),
                epoch => format!("{} reads that epoch {epoch} is ready", gateway(index)),
            },
            Action::RefreshStock { gateway: index, server } => {
                format!("{} refreshes its stock snapshot from {}: nothing is left", gateway(index), redis(server))
            }
            Action::SnapshotExpires { gateway: index } => {
                format!("the stock snapshot of {} becomes too old to refuse from", gateway(index))
            }
            Action::AckOutbox { order, server } => {
                let reason = if before.logged.has(order) { ", because the log has stored it" } else { "" };
                format!("{} deletes {} from the outbox{reason}", redis(server), self.name(order))
            }
            Action::Relay { order, server } => {
                format!(
                    "the relay finds {} in the outbox of {} and produces it",
                    self.name(order),
                    redis(server)
                )
            }
            Action::Cancel { order } => {
                format!(
    "a cancellation of {} (by a tick or by a customer) is appended to the log",
    self.name(order)
)
            }
            Action::TakeOver { owner } => {
                format!("settler {} takes over the partition; the other one does not notice", owner + 1)
            }
            Action::Settle { owner } => self.settled(before, owner, after),
            Action::FindReleases { releaser, server } => {
                let call = after.releases[usize::from(releaser)];
                let names: Vec<_> = call.orders.iter().map(|order| self.name(order)).collect();
                format!(
                    "releaser {} finds {} at watermark {} and calls the script to release the units of {} up to {}",
                    releaser + 1,
                    redis(server),
                    call.after,
                    names.join(" and "),
                    call.to
                )
            }
            Action::Release { releaser, server } => {
                let call = before.releases[usize::from(releaser)];
                let applied = after.keys(server, call.epoch) != before.keys(server, call.epoch);
                let result = if applied { "the units are released" } else { "not applied" };
                format!("{} runs the call of releaser {}: {result}", redis(server), releaser + 1)
            }
            Action::Mature { server, epoch } => {
                format!("the returned units of epoch {epoch} become available in {}", redis(server))
            }
            Action::Begin { rebuilder, server } => {
                let epoch = after.rebuilders[usize::from(rebuilder)].epoch;
                format!("a rebuild begins on {} and publishes epoch {epoch}", redis(server))
            }
            Action::Outwait { rebuilder } => match self.config.protections.lease {
                true => format!("{} has waited for the older leases to expire", attempt(rebuilder)),
                false => format!("{} does not wait for leases", attempt(rebuilder)),
            },
            Action::Drain { rebuilder, order } => {
                format!("{} finds {} in the old outbox and produces it", attempt(rebuilder), self.name(order))
            }
            Action::Fence { rebuilder } => match self.config.protections.barrier {
                true => format!("{} appends its barrier to the log", attempt(rebuilder)),
                false => format!("{} continues without a barrier", attempt(rebuilder)),
            },
            Action::WriteSnapshot { rebuilder } => {
                let rebuild = before.rebuilders[usize::from(rebuilder)];
                let keys = after.keys(rebuild.server, rebuild.epoch);
                format!(
                    "{} writes the snapshot of Postgres: {} available, next sequence {}",
                    attempt(rebuilder),
                    keys.available,
                    keys.next
                )
            }
            Action::Seal { rebuilder } => {
                format!("{} loads its scripts and sets its mark", attempt(rebuilder))
            }
            Action::Finish { rebuilder } => format!("{} is complete: it publishes the epoch as ready", attempt(rebuilder)),
            Action::GiveUp { rebuilder } => format!("{} is abandoned", attempt(rebuilder)),
            Action::CatchUp => "the replica, or the copy on disk, catches up with Redis A".into(),
            Action::Fail(fault) => match fault {
                Fault::RestartEmpty => "Redis A restarts with no data",
                Fault::RestartOld => "Redis A restarts from an old copy",
                Fault::RestartWhole => "Redis A restarts with all its data, or loses its scripts",
                Fault::FlushAll => "FLUSHALL on Redis A: the data is lost, the scripts and the replication ID remain",
                Fault::Failover => {
                    "the replica is promoted as Redis B with the data that it had; Redis A still serves some clients"
                }
                Fault::Failback => {
                    "Redis A copies the data of Redis B and is promoted again; its scripts have survived"
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
                "{settler} is fenced, because another one has settled since; it rereads the position"
            );
        }
        let late = if memory != before.postgres.position { " (already settled!)" } else { "" };
        let (old, new) = (before.postgres, after.postgres);
        match before.log.read(memory.offset) {
            Some(Record::Acceptance(order)) => {
                let name = self.name(order);
                let result = if new.rows != old.rows {
                    format!("row {} with sequence {}", name, before.tries[usize::from(order)].sequence)
                } else if new.refused != old.refused {
                    format!("{name}: Postgres rejects it (guard trip)")
                } else if old.refused.has(order) {
                    format!("{name}: rejected again")
                } else if old.rows.has(order) {
                    format!("{name}: duplicate, dropped")
                } else {
                    format!("{name}: void, because its epoch had ended")
                };
                format!("{settler} settles{late}: {result}")
            }
            Some(Record::Barrier(epoch)) => format!("{settler} settles{late} the barrier of epoch {epoch}"),
            Some(Record::Cancel(order)) => {
                let result = if new.cancelled != old.cancelled {
                    "its units are released"
                } else {
                    "nothing to cancel"
                };
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
        let earlier = (0..order).filter(|other| self.is_same_key(order, *other)).count();
        let retry = if earlier == 0 { "" } else { ", retried" };
        format!("{}'s order (key {}{units}{retry})", self.customer(order), request.key)
    }

    fn outcome(&self, state: &State, order: u8) -> String {
        let attempt = state.tries[usize::from(order)];
        match attempt.phase {
            Phase::Idle | Phase::Calling | Phase::Appended => String::new(),
            Phase::Producing => format!("accepted, sequence {}", attempt.sequence),
            Phase::Unknown => "503: the outcome is unknown, or the state is lost".into(),
            Phase::Accepted => "202".into(),
            Phase::Replayed(first) => format!("202, for {}", self.name(first)),
            Phase::SoldOut { justified: true, .. } => "409 sold out".into(),
            Phase::SoldOut { justified: false, .. } => "409 sold out, although units are available".into(),
            Phase::Duplicate { .. } => "409 already ordered".into(),
        }
    }
}

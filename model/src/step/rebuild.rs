//! The rebuilds: `settlement/src/recover/rebuild/` and `seal.lua`.
//!
//! An attempt that dies simply does not continue. The next attempt claims a newer epoch, whether the first is
//! dead or only slow.

use crate::World;
use crate::action::Action;
use crate::config::Protections;
use crate::state::{Keys, PAIR, RebuildStep, Rebuilder, Record, State};

impl World {
    pub(super) fn rebuild_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let free = (0..PAIR as u8).find(|r| state.rebuilders[usize::from(*r)].step == RebuildStep::None);
        if let Some(rebuilder) = free
            && state.budget.rebuilds > 0
        {
            actions.extend(state.reachable_servers().map(|server| Action::Begin { rebuilder, server }));
        }
        for rebuilder in 0..PAIR as u8 {
            let rebuild = state.rebuilders[usize::from(rebuilder)];
            let newest = state.postgres.epoch == rebuild.epoch && !state.postgres.ready;
            match rebuild.step {
                RebuildStep::None => {}
                RebuildStep::Waiting => {
                    // A gateway may still respond under a lease on an older epoch.
                    let leases = state.views.iter().any(|view| *view != 0 && *view < rebuild.epoch);
                    if !leases || !self.config.protections.lease {
                        actions.push(Action::Outwait { rebuilder });
                    }
                }
                RebuildStep::Draining => {
                    for order in self.drainable(state, rebuild) {
                        actions.push(Action::Drain { rebuilder, order });
                    }
                    actions.push(Action::Fence { rebuilder });
                }
                RebuildStep::Fencing if !newest || rebuild.broken => {
                    actions.push(Action::GiveUp { rebuilder })
                }
                RebuildStep::Fencing => {
                    let settled = state.postgres.position.settled_epoch >= rebuild.epoch;
                    let Protections { barrier, settled_first, .. } = self.config.protections;
                    if settled || !barrier || !settled_first {
                        actions.push(Action::WriteSnapshot { rebuilder });
                    }
                }
                RebuildStep::Written
                    if !newest || rebuild.broken || !state.keys(rebuild.server, rebuild.epoch).present =>
                {
                    actions.push(Action::GiveUp { rebuilder });
                }
                RebuildStep::Written => actions.push(Action::Seal { rebuilder }),
                RebuildStep::Sealed if !newest => actions.push(Action::GiveUp { rebuilder }),
                RebuildStep::Sealed => actions.push(Action::Finish { rebuilder }),
            }
        }
    }

    /// Returns the outbox entries that are not void yet. Draining may stop before the last one.
    fn drainable(&self, state: &State, rebuild: Rebuilder) -> impl Iterator<Item = u8> {
        let mut entries = crate::state::Set::default();
        if !rebuild.broken {
            for epoch in state.postgres.position.settled_epoch.max(1)..rebuild.epoch {
                entries = entries.with(state.keys(rebuild.server, epoch).outbox);
            }
        }
        entries.without(state.relayed).iter()
    }

    /// Connects to the server, claims the next epoch by compare-and-set, publishes it as not ready.
    pub(super) fn begin(&self, state: &mut State, rebuilder: u8, server: u8) {
        state.budget.rebuilds -= 1;
        state.postgres.epoch += 1;
        state.postgres.ready = false;
        let epoch = state.postgres.epoch;
        state.rebuilders[usize::from(rebuilder)] =
            Rebuilder { step: RebuildStep::Waiting, epoch, server, broken: false };
    }

    pub(super) fn end_wait(&self, state: &mut State, rebuilder: u8) {
        state.rebuilders[usize::from(rebuilder)].step = RebuildStep::Draining;
    }

    pub(super) fn fence(&self, state: &mut State, rebuilder: u8) {
        let rebuild = &mut state.rebuilders[usize::from(rebuilder)];
        rebuild.step = RebuildStep::Fencing;
        if self.config.protections.barrier {
            state.log.append(Record::Barrier(rebuild.epoch));
        }
    }

    /// Unlinks the older epochs, reads one snapshot of Postgres, and writes it to Redis.
    pub(super) fn write_snapshot(&self, state: &mut State, rebuilder: u8) {
        let rebuild = state.rebuilders[usize::from(rebuilder)];
        for older in 1..rebuild.epoch {
            *state.keys_mut(rebuild.server, older) = Keys::default();
        }
        let postgres = state.postgres;
        *state.keys_mut(rebuild.server, rebuild.epoch) = Keys {
            present: true,
            marked: false,
            available: self.config.total.saturating_sub(self.held(state)),
            next: postgres.position.next_sequence,
            remembered: postgres.rows,
            live: postgres.rows.without(postgres.cancelled),
            watermark: postgres.position.event - 1,
            ..Keys::default()
        };
        state.rebuilders[usize::from(rebuilder)].step = RebuildStep::Written;
    }

    pub(super) fn seal(&self, state: &mut State, rebuilder: u8) {
        let rebuild = state.rebuilders[usize::from(rebuilder)];
        state.keys_mut(rebuild.server, rebuild.epoch).marked = true;
        let server = &mut state.servers[usize::from(rebuild.server)];
        server.scripts.add(rebuild.epoch);
        server.history.add(rebuild.epoch);
        state.rebuilders[usize::from(rebuilder)].step = RebuildStep::Sealed;
    }

    pub(super) fn finish(&self, state: &mut State, rebuilder: u8) {
        state.postgres.ready = true;
        state.rebuilders[usize::from(rebuilder)] = Rebuilder::default();
    }

    pub(super) fn give_up(&self, state: &mut State, rebuilder: u8) {
        state.rebuilders[usize::from(rebuilder)] = Rebuilder::default();
    }
}

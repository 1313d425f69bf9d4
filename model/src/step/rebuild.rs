//! Rebuilds: `rebuild/attempt.rs`, `fence.rs`, `restock.rs`, `seal.lua`.
//!
//! An attempt that dies is one that does not go on: the next one takes a newer epoch, whether the first is
//! dead or only slow.

use crate::World;
use crate::action::Action;
use crate::config::Protections;
use crate::state::{Keys, PAIR, Rebuilder, Record, State, Step};

impl World {
    pub(super) fn rebuild_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let free = (0..PAIR as u8).find(|r| state.rebuilders[usize::from(*r)].step == Step::None);
        if let Some(rebuilder) = free
            && state.left.rebuilds > 0
        {
            actions.extend(state.up().map(|server| Action::Begin { rebuilder, server }));
        }
        for rebuilder in 0..PAIR as u8 {
            let it = state.rebuilders[usize::from(rebuilder)];
            let newest = state.postgres.epoch == it.epoch && !state.postgres.ready;
            match it.step {
                Step::None => {}
                Step::Waiting => {
                    // A lease on an older epoch may still be answered from.
                    let leases = state.views.iter().any(|view| *view != 0 && *view < it.epoch);
                    if !leases || !self.config.protections.lease {
                        actions.push(Action::Outwait { rebuilder });
                    }
                }
                Step::Draining => {
                    for order in self.drainable(state, it) {
                        actions.push(Action::Drain { rebuilder, order });
                    }
                    actions.push(Action::Fence { rebuilder });
                }
                Step::Fencing if !newest || it.broken => actions.push(Action::GiveUp { rebuilder }),
                Step::Fencing => {
                    let settled = state.postgres.position.settled_epoch >= it.epoch;
                    let Protections { barrier, settled_first, .. } = self.config.protections;
                    if settled || !barrier || !settled_first {
                        actions.push(Action::WriteSnapshot { rebuilder });
                    }
                }
                Step::Written if !newest || it.broken || !state.keys(it.server, it.epoch).present => {
                    actions.push(Action::GiveUp { rebuilder });
                }
                Step::Written => actions.push(Action::Seal { rebuilder }),
                Step::Sealed if !newest => actions.push(Action::GiveUp { rebuilder }),
                Step::Sealed => actions.push(Action::Finish { rebuilder }),
            }
        }
    }

    /// Entries of outboxes that are not void yet. Draining may stop before the last one.
    fn drainable(&self, state: &State, it: Rebuilder) -> impl Iterator<Item = u8> {
        let mut entries = crate::state::Set::default();
        if !it.broken {
            for epoch in state.postgres.position.settled_epoch.max(1)..it.epoch {
                entries = entries.with(state.keys(it.server, epoch).outbox);
            }
        }
        entries.without(state.relayed).each()
    }

    /// Connects, takes the next epoch by compare-and-set, publishes it as not ready.
    pub(super) fn begin(&self, state: &mut State, rebuilder: u8, server: u8) {
        state.left.rebuilds -= 1;
        state.postgres.epoch += 1;
        state.postgres.ready = false;
        let epoch = state.postgres.epoch;
        state.rebuilders[usize::from(rebuilder)] =
            Rebuilder { step: Step::Waiting, epoch, server, broken: false };
    }

    pub(super) fn outwait(&self, state: &mut State, rebuilder: u8) {
        state.rebuilders[usize::from(rebuilder)].step = Step::Draining;
    }

    pub(super) fn fence(&self, state: &mut State, rebuilder: u8) {
        let it = &mut state.rebuilders[usize::from(rebuilder)];
        it.step = Step::Fencing;
        if self.config.protections.barrier {
            state.log.append(Record::Barrier(it.epoch));
        }
    }

    /// Unlinks the older epochs; reads one snapshot of Postgres, and writes it.
    pub(super) fn write_snapshot(&self, state: &mut State, rebuilder: u8) {
        let it = state.rebuilders[usize::from(rebuilder)];
        for older in 1..it.epoch {
            *state.keys_mut(it.server, older) = Keys::default();
        }
        let postgres = state.postgres;
        *state.keys_mut(it.server, it.epoch) = Keys {
            present: true,
            marked: false,
            available: self.config.total.saturating_sub(self.held(state)),
            next: postgres.position.next_sequence,
            remembered: postgres.rows,
            live: postgres.rows.without(postgres.cancelled),
            watermark: postgres.position.event - 1,
            ..Keys::default()
        };
        state.rebuilders[usize::from(rebuilder)].step = Step::Written;
    }

    pub(super) fn seal(&self, state: &mut State, rebuilder: u8) {
        let it = state.rebuilders[usize::from(rebuilder)];
        state.keys_mut(it.server, it.epoch).marked = true;
        let server = &mut state.servers[usize::from(it.server)];
        server.scripts.add(it.epoch);
        server.history.add(it.epoch);
        state.rebuilders[usize::from(rebuilder)].step = Step::Sealed;
    }

    pub(super) fn finish(&self, state: &mut State, rebuilder: u8) {
        state.postgres.ready = true;
        state.rebuilders[usize::from(rebuilder)] = Rebuilder::default();
    }

    pub(super) fn give_up(&self, state: &mut State, rebuilder: u8) {
        state.rebuilders[usize::from(rebuilder)] = Rebuilder::default();
    }
}

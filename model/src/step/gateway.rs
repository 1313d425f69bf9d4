//! Gateways: `reserve.rs`, `hand_off.rs`, `lease.rs`, `refuse.rs`, and `reserve.lua`, `forget.lua`, `look.lua`.

use crate::World;
use crate::action::Action;
use crate::state::{GATEWAYS, Look, Phase, Record, State};

impl World {
    pub(super) fn gateway_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for gateway in 0..GATEWAYS as u8 {
            if state.views[usize::from(gateway)] != published(state) {
                actions.push(Action::ReadSales { gateway });
            }
            if self.config.fast_refusals {
                if state.looks[usize::from(gateway)].epoch != 0 {
                    actions.push(Action::LookExpires { gateway });
                }
                for server in state.up() {
                    if self
                        .sees_sold_out(state, gateway, server)
                        .is_some_and(|seen| seen != state.looks[usize::from(gateway)])
                    {
                        actions.push(Action::Look { gateway, server });
                    }
                }
            }
        }
        for order in self.orders() {
            let attempt = state.tries[usize::from(order)];
            match attempt.phase {
                Phase::Idle => {
                    for gateway in 0..GATEWAYS as u8 {
                        let request = self.request(order);
                        if request.gateway.is_some_and(|only| only != gateway)
                            || state.views[usize::from(gateway)] == 0
                        {
                            continue;
                        }
                        actions.push(Action::Send { order, gateway });
                        if self.can_refuse_fast(state, order, gateway) {
                            actions.push(Action::RefuseFast { order, gateway });
                        }
                    }
                }
                Phase::Calling => actions.extend(state.up().map(|server| Action::Reserve { order, server })),
                Phase::Producing => actions.extend([Action::Append { order }, Action::LoseRecord { order }]),
                Phase::Appended => actions.push(Action::Acknowledge { order }),
                _ => {}
            }
            if attempt.sequence > 0 && (state.logged.has(order) || !self.config.protections.forget_last) {
                for server in state.up() {
                    if state.keys(server, attempt.epoch).outbox.has(order)
                        && self.runs(state, server, attempt.epoch)
                    {
                        actions.push(Action::Forget { order, server });
                    }
                }
            }
        }
    }

    /// Whether a script of an epoch, called on a server, gets past its first line (`common.lua`).
    pub(crate) fn runs(&self, state: &State, server: u8, epoch: u8) -> bool {
        let it = &state.servers[usize::from(server)];
        let protections = self.config.protections;
        it.up
            && it.scripts.has(epoch)
            && (it.data[usize::from(epoch - 1)].marked || !protections.mark)
            && (it.history.has(epoch) || !protections.replication_id)
    }

    pub(super) fn send(&self, state: &mut State, order: u8, gateway: u8) {
        // Another try with the same key that is on its way now: the two overlap, and no promise is made
        // about a refusal of either.
        let mut overlapped = false;
        for other in self.same_key(order) {
            if state.tries[usize::from(other)].phase == Phase::Calling {
                state.tries[usize::from(other)].overlapped = true;
                overlapped = true;
            }
        }
        let epoch = state.views[usize::from(gateway)];
        let attempt = &mut state.tries[usize::from(order)];
        (attempt.phase, attempt.gateway, attempt.epoch, attempt.overlapped) =
            (Phase::Calling, gateway, epoch, overlapped);
    }

    /// `reserve.lua` for one order, and what the gateway does with the reply. The reply's delay is left out:
    /// a refusal or a replay needs the lease that it was sent under, and whoever has that later has it now.
    pub(super) fn reserve(&self, state: &mut State, order: u8, server: u8) {
        let epoch = state.tries[usize::from(order)].epoch;
        let phase = if self.runs(state, server, epoch) {
            self.verdict(state, order, server, epoch)
        } else {
            Phase::Unknown // NOSCRIPT or `lost`: 503, nothing written
        };
        let covered = self.covered(state, order);
        let attempt = &mut state.tries[usize::from(order)];
        attempt.phase = match phase {
            Phase::Producing => Phase::Producing,
            answer if covered => answer,
            _ => Phase::Unknown,
        };
        attempt.overlapped = false;
    }

    /// In the script's order: key, limit, stock.
    fn verdict(&self, state: &mut State, order: u8, server: u8, epoch: u8) -> Phase {
        let request = self.request(order);
        let keys = *state.keys(server, epoch);
        let first = self.same_key(order).find(|other| keys.remembered.has(*other));
        let replay = first.map(|first| {
            // While its hand-off is not acknowledged, a repeat waits; at last it is told that nothing is known.
            let waits = keys.outbox.has(first) && self.config.protections.repeat_waits;
            if waits { Phase::Unknown } else { Phase::Replayed(first) }
        });
        if let Some(replay) = replay
            && self.config.protections.replay_before_refusal
        {
            return replay;
        }
        let attempt = state.tries[usize::from(order)];
        let denied = !attempt.overlapped
            && self.same_key(order).any(|other| state.tries[usize::from(other)].sequence > 0);
        let mine = self
            .orders()
            .filter(|other| keys.live.has(*other) && self.request(*other).customer == request.customer);
        let live: Vec<u8> = mine.collect();
        if live.len() >= usize::from(self.config.limit) {
            let newest = live.iter().copied().max_by_key(|o| state.tries[usize::from(*o)].sequence);
            let waits = newest.is_some_and(|newest| keys.outbox.has(newest));
            return if waits { Phase::Unknown } else { Phase::Duplicate { denied } };
        }
        if keys.available < request.units {
            return Phase::SoldOut {
                justified: self.is_sold_out(state, server, epoch, request.units),
                denied,
            };
        }
        if let Some(replay) = replay {
            return replay;
        }
        let keys = state.keys_mut(server, epoch);
        keys.available -= request.units;
        let sequence = keys.next.max(1);
        keys.next = sequence + 1;
        keys.remembered.add(order);
        keys.live.add(order);
        if self.config.protections.outbox {
            keys.outbox.add(order);
        }
        state.tries[usize::from(order)].sequence = sequence;
        Phase::Producing
    }

    /// Whether too few units are left, counting every one that was ever reserved and has not come back. (A
    /// reservation that Redis has lost counts: its units came back by a rebuild, if at all.)
    fn is_sold_out(&self, state: &State, server: u8, epoch: u8, units: u8) -> bool {
        let keys = state.keys(server, epoch);
        let taken: u8 = self
            .orders()
            .filter(|o| state.tries[usize::from(*o)].sequence > 0)
            .filter(|o| !state.postgres.cancelled.has(*o) || keys.live.has(*o) || keys.returning.has(*o))
            .map(|o| self.request(o).units)
            .sum();
        self.config.total < taken.saturating_add(units)
    }

    /// Whether the gateway may answer from the epoch that the try was sent under.
    fn covered(&self, state: &State, order: u8) -> bool {
        let attempt = state.tries[usize::from(order)];
        state.views[usize::from(attempt.gateway)] == attempt.epoch
    }

    pub(super) fn append(&self, state: &mut State, order: u8) {
        state.log.append(Record::Acceptance(order));
        state.logged.add(order);
        state.tries[usize::from(order)].phase = Phase::Appended;
    }

    pub(super) fn lose_record(&self, state: &mut State, order: u8) {
        state.tries[usize::from(order)].phase = Phase::Unknown;
    }

    /// The lease is looked at after the acknowledgement.
    pub(super) fn acknowledge(&self, state: &mut State, order: u8) {
        let covered = self.covered(state, order) || !self.config.protections.lease_last;
        let told = if covered { Phase::Accepted } else { Phase::Unknown };
        state.tries[usize::from(order)].phase = told;
    }

    pub(crate) fn read_sales(&self, state: &mut State, gateway: u8) {
        state.views[usize::from(gateway)] = published(state);
    }

    pub(super) fn forget(&self, state: &mut State, order: u8, server: u8) {
        let epoch = state.tries[usize::from(order)].epoch;
        state.keys_mut(server, epoch).outbox.remove(order);
    }

    /// What a look would see, if it would show that nothing is left and nothing is on its way back.
    fn sees_sold_out(&self, state: &State, gateway: u8, server: u8) -> Option<Look> {
        let epoch = state.views[usize::from(gateway)];
        if epoch == 0 || !self.runs(state, server, epoch) {
            return None;
        }
        let keys = state.keys(server, epoch);
        let sold_out =
            keys.available == 0 && (keys.returning.is_empty() || !self.config.protections.announcement);
        sold_out.then_some(Look { epoch, arrivals: keys.remembered })
    }

    pub(super) fn look(&self, state: &mut State, gateway: u8, server: u8) {
        if let Some(seen) = self.sees_sold_out(state, gateway, server) {
            state.looks[usize::from(gateway)] = seen;
        }
    }

    fn can_refuse_fast(&self, state: &State, order: u8, gateway: u8) -> bool {
        let look = state.looks[usize::from(gateway)];
        let customer = self.request(order).customer;
        look.epoch != 0
            && look.epoch == state.views[usize::from(gateway)]
            && !self.orders().any(|o| look.arrivals.has(o) && self.request(o).customer == customer)
    }

    pub(super) fn refuse_fast(&self, state: &mut State, order: u8, gateway: u8) {
        let look = state.looks[usize::from(gateway)];
        // The servers that sell this epoch: no one of them may have a unit left.
        let justified = state
            .up()
            .filter(|s| self.runs(state, *s, look.epoch))
            .all(|s| state.keys(s, look.epoch).available == 0);
        let denied = self.same_key(order).any(|other| state.tries[usize::from(other)].sequence > 0);
        let attempt = &mut state.tries[usize::from(order)];
        (attempt.phase, attempt.gateway) = (Phase::SoldOut { justified, denied }, gateway);
    }
}

/// The epoch that gateways may sell under, once they have read of it.
fn published(state: &State) -> u8 {
    if state.postgres.ready { state.postgres.epoch } else { 0 }
}

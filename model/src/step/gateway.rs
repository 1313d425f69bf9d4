//! The gateways: reservation, hand-off, lease and stock cache in `gateway/src/`, and `reserve.lua`,
//! `ack_outbox.lua`, `read_stock.lua`.

use crate::World;
use crate::action::Action;
use crate::state::{GATEWAYS, Phase, Record, State, StockSnapshot};

impl World {
    pub(super) fn gateway_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for gateway in 0..GATEWAYS as u8 {
            if state.views[usize::from(gateway)] != published(state) {
                actions.push(Action::ReadSales { gateway });
            }
            if self.config.fast_refusals {
                if state.snapshots[usize::from(gateway)].epoch != 0 {
                    actions.push(Action::SnapshotExpires { gateway });
                }
                for server in state.reachable_servers() {
                    if self
                        .sold_out_snapshot(state, gateway, server)
                        .is_some_and(|snapshot| snapshot != state.snapshots[usize::from(gateway)])
                    {
                        actions.push(Action::RefreshStock { gateway, server });
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
                Phase::Calling => {
                    actions.extend(state.reachable_servers().map(|server| Action::Reserve { order, server }))
                }
                Phase::Producing => actions.extend([Action::Append { order }, Action::LoseRecord { order }]),
                Phase::Appended => actions.push(Action::Acknowledge { order }),
                _ => {}
            }
            if attempt.sequence > 0 && (state.logged.has(order) || !self.config.protections.ack_last) {
                for server in state.reachable_servers() {
                    if state.keys(server, attempt.epoch).outbox.has(order)
                        && self.runs(state, server, attempt.epoch)
                    {
                        actions.push(Action::AckOutbox { order, server });
                    }
                }
            }
        }
    }

    /// Returns whether a script of an epoch, called on a server, passes the check in its first line
    /// (`common.lua`).
    pub(crate) fn runs(&self, state: &State, server: u8, epoch: u8) -> bool {
        let server = &state.servers[usize::from(server)];
        let protections = self.config.protections;
        server.up
            && server.scripts.has(epoch)
            && (server.data[usize::from(epoch - 1)].marked || !protections.mark)
            && (server.history.has(epoch) || !protections.replication_id)
    }

    pub(super) fn send(&self, state: &mut State, order: u8, gateway: u8) {
        // Another attempt with the same key that is in transit now overlaps with this one. The system makes no
        // promise about a refusal of either.
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

    /// Runs `reserve.lua` for one order and handles the reply in the gateway. The reply has no delay: a refusal or
    /// a replay requires the lease under which the call was sent, and a gateway that holds it later holds it now.
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
            response if covered => response,
            _ => Phase::Unknown,
        };
        attempt.overlapped = false;
    }

    /// Returns the script's verdict. The checks are in the script's order: key, limit, stock.
    fn verdict(&self, state: &mut State, order: u8, server: u8, epoch: u8) -> Phase {
        let request = self.request(order);
        let keys = *state.keys(server, epoch);
        let first = self.same_key(order).find(|other| keys.remembered.has(*other));
        let replay = first.map(|first| {
            // A retry waits while the hand-off is not acknowledged; in the end its outcome is unknown.
            let waits = keys.outbox.has(first) && self.config.protections.retry_waits;
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
        let by_customer = self
            .orders()
            .filter(|other| keys.live.has(*other) && self.request(*other).customer == request.customer);
        let live: Vec<u8> = by_customer.collect();
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

    /// Returns whether too few units are left, counting every unit that was ever reserved and has not been
    /// released. (A reservation that Redis has lost counts: only a rebuild can return its units.)
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

    /// Returns whether the gateway may respond from the epoch under which the attempt was sent.
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

    /// Handles the acknowledgement: the gateway checks its lease after it.
    pub(super) fn acknowledge(&self, state: &mut State, order: u8) {
        let covered = self.covered(state, order) || !self.config.protections.lease_last;
        let phase = if covered { Phase::Accepted } else { Phase::Unknown };
        state.tries[usize::from(order)].phase = phase;
    }

    pub(crate) fn read_sales(&self, state: &mut State, gateway: u8) {
        state.views[usize::from(gateway)] = published(state);
    }

    pub(super) fn ack_outbox(&self, state: &mut State, order: u8, server: u8) {
        let epoch = state.tries[usize::from(order)].epoch;
        state.keys_mut(server, epoch).outbox.remove(order);
    }

    /// Returns the snapshot that a refresh would take, if nothing is left and nothing is being released.
    fn sold_out_snapshot(&self, state: &State, gateway: u8, server: u8) -> Option<StockSnapshot> {
        let epoch = state.views[usize::from(gateway)];
        if epoch == 0 || !self.runs(state, server, epoch) {
            return None;
        }
        let keys = state.keys(server, epoch);
        let sold_out =
            keys.available == 0 && (keys.returning.is_empty() || !self.config.protections.announcement);
        sold_out.then_some(StockSnapshot { epoch, arrivals: keys.remembered })
    }

    pub(super) fn refresh_stock(&self, state: &mut State, gateway: u8, server: u8) {
        if let Some(snapshot) = self.sold_out_snapshot(state, gateway, server) {
            state.snapshots[usize::from(gateway)] = snapshot;
        }
    }

    fn can_refuse_fast(&self, state: &State, order: u8, gateway: u8) -> bool {
        let snapshot = state.snapshots[usize::from(gateway)];
        let customer = self.request(order).customer;
        snapshot.epoch != 0
            && snapshot.epoch == state.views[usize::from(gateway)]
            && !self.orders().any(|o| snapshot.arrivals.has(o) && self.request(o).customer == customer)
    }

    pub(super) fn refuse_fast(&self, state: &mut State, order: u8, gateway: u8) {
        let snapshot = state.snapshots[usize::from(gateway)];
        // No server that sells this epoch may have a unit left.
        let justified = state
            .reachable_servers()
            .filter(|s| self.runs(state, *s, snapshot.epoch))
            .all(|s| state.keys(s, snapshot.epoch).available == 0);
        let denied = self.same_key(order).any(|other| state.tries[usize::from(other)].sequence > 0);
        let attempt = &mut state.tries[usize::from(order)];
        (attempt.phase, attempt.gateway) = (Phase::SoldOut { justified, denied }, gateway);
    }
}

/// Returns the epoch from which gateways may sell once they have read its publication.
fn published(state: &State) -> u8 {
    if state.postgres.ready { state.postgres.epoch } else { 0 }
}

//! The release of cancelled units: `settlement/src/recover/release.rs`, `release.lua`.

use crate::World;
use crate::action::Action;
use crate::state::{Release, Set, State};

impl World {
    pub(super) fn release_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.budget.cancels == 0 && state.postgres.cancelled.is_empty() {
            return;
        }
        for releaser in 0..self.config.releasers {
            let call = state.releases[usize::from(releaser)];
            for server in state.reachable_servers() {
                if call.epoch != 0 {
                    actions.push(Action::Release { releaser, server });
                } else if self.next_release(state, server).is_some() {
                    actions.push(Action::FindReleases { releaser, server });
                }
            }
        }
        for server in state.reachable_servers() {
            for epoch in 1..=state.postgres.epoch {
                // The announcement lasts longer than a stock snapshot may be used, so a snapshot from before it
                // has expired.
                let in_use = state.snapshots.iter().any(|snapshot| snapshot.epoch == epoch);
                let waits = in_use && self.config.protections.announcement;
                if !waits && !state.keys(server, epoch).returning.is_empty() {
                    actions.push(Action::Mature { server, epoch });
                }
            }
        }
    }

    /// Returns the call that the releaser would make: it reads the watermark from the server, and the events after
    /// it from Postgres.
    fn next_release(&self, state: &State, server: u8) -> Option<Release> {
        let epoch = state.postgres.epoch;
        if !state.postgres.ready || !self.runs(state, server, epoch) {
            return None;
        }
        let after = state.keys(server, epoch).watermark;
        let mut release = Release { epoch, after, to: after, orders: Set::default() };
        for order in state.postgres.cancelled.iter() {
            let event = state.postgres.cancelled_at[usize::from(order)];
            if event > after {
                release.orders.add(order);
                release.to = release.to.max(event);
            }
        }
        (!release.orders.is_empty()).then_some(release)
    }

    pub(super) fn find_releases(&self, state: &mut State, releaser: u8, server: u8) {
        state.releases[usize::from(releaser)] = self.next_release(state, server).unwrap_or_default();
    }

    pub(super) fn release(&self, state: &mut State, releaser: u8, server: u8) {
        let call = std::mem::take(&mut state.releases[usize::from(releaser)]);
        if !self.runs(state, server, call.epoch) {
            return;
        }
        let keys = state.keys_mut(server, call.epoch);
        if keys.watermark != call.after && self.config.protections.release_rule {
            return;
        }
        keys.watermark = call.to;
        keys.live = keys.live.without(call.orders);
        if self.config.fast_refusals {
            keys.returning = keys.returning.with(call.orders);
        } else {
            keys.available += self.units(call.orders);
        }
    }

    pub(super) fn mature(&self, state: &mut State, server: u8, epoch: u8) {
        let orders = std::mem::take(&mut state.keys_mut(server, epoch).returning);
        state.keys_mut(server, epoch).available += self.units(orders);
    }

    fn units(&self, orders: Set) -> u8 {
        orders.iter().map(|order| self.request(order).units).sum()
    }
}

//! The actions of each part: when they are possible and what they change. One file for each part.

mod fault;
mod gateway;
mod rebuild;
mod release;
mod settle;

use crate::World;
use crate::action::Action;
use crate::state::State;

impl World {
    /// Collects the actions that are possible in a state.
    pub(crate) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        self.gateway_actions(state, actions);
        self.settle_actions(state, actions);
        self.release_actions(state, actions);
        self.rebuild_actions(state, actions);
        self.fault_actions(state, actions);
    }

    /// Applies an action to the state.
    pub(crate) fn perform(&self, state: &mut State, action: Action) {
        match action {
            Action::Send { order, gateway } => self.send(state, order, gateway),
            Action::RefuseFast { order, gateway } => self.refuse_fast(state, order, gateway),
            Action::Reserve { order, server } => self.reserve(state, order, server),
            Action::Append { order } => self.append(state, order),
            Action::LoseRecord { order } => self.lose_record(state, order),
            Action::Acknowledge { order } => self.acknowledge(state, order),
            Action::ReadSales { gateway } => self.read_sales(state, gateway),
            Action::RefreshStock { gateway, server } => self.refresh_stock(state, gateway, server),
            Action::SnapshotExpires { gateway } => state.snapshots[usize::from(gateway)] = Default::default(),
            Action::AckOutbox { order, server } => self.ack_outbox(state, order, server),
            Action::Relay { order, .. } | Action::Drain { order, .. } => self.produce_again(state, order),
            Action::Cancel { order } => self.cancel(state, order),
            Action::TakeOver { owner } => self.take_over(state, owner),
            Action::Settle { owner } => self.settle(state, owner),
            Action::FindReleases { releaser, server } => self.find_releases(state, releaser, server),
            Action::Release { releaser, server } => self.release(state, releaser, server),
            Action::Mature { server, epoch } => self.mature(state, server, epoch),
            Action::Begin { rebuilder, server } => self.begin(state, rebuilder, server),
            Action::Outwait { rebuilder } => self.end_wait(state, rebuilder),
            Action::Fence { rebuilder } => self.fence(state, rebuilder),
            Action::WriteSnapshot { rebuilder } => self.write_snapshot(state, rebuilder),
            Action::Seal { rebuilder } => self.seal(state, rebuilder),
            Action::Finish { rebuilder } => self.finish(state, rebuilder),
            Action::GiveUp { rebuilder } => self.give_up(state, rebuilder),
            Action::CatchUp => self.catch_up(state),
            Action::Fail(fault) => self.fail(state, fault),
        }
        self.normalise(state);
    }
}

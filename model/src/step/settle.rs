//! Settlement: applying records, the relay, and the sources of cancellations.

use crate::World;
use crate::action::Action;
use crate::state::{PAIR, Record, State};

impl World {
    pub(super) fn settle_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for owner in 0..PAIR as u8 {
            match state.owners[usize::from(owner)] {
                Some(memory) if memory.offset < state.log.end() || memory != state.postgres.position => {
                    actions.push(Action::Settle { owner })
                }
                Some(_) => {}
                None if state.budget.takeovers > 0 => actions.push(Action::TakeOver { owner }),
                None => {}
            }
        }
        if state.postgres.ready {
            let epoch = state.postgres.epoch;
            // The relay reads the stream directly, so it needs neither a script nor the mark.
            for server in state.reachable_servers() {
                for order in state.keys(server, epoch).outbox.without(state.relayed).iter() {
                    actions.push(Action::Relay { order, server });
                }
            }
        }
        if state.budget.cancels > 0 {
            actions.extend(
                self.orders()
                    .filter(|o| self.is_cancellable(state, *o))
                    .map(|order| Action::Cancel { order }),
            );
        }
    }

    /// Returns whether the order can be cancelled. Either Postgres stores the order and its hold may expire, or a
    /// gateway with a lease finds it in Redis but not in the outbox: then the log has stored it, and a command is
    /// appended after it (`find_orders.lua`).
    fn is_cancellable(&self, state: &State, order: u8) -> bool {
        let found = |epoch: u8, server: u8| {
            let keys = state.keys(server, epoch);
            self.runs(state, server, epoch)
                && keys.live.has(order)
                && !(keys.outbox.has(order) && self.config.protections.command_waits)
        };
        let is_live = state.postgres.rows.has(order) && !state.postgres.cancelled.has(order);
        let epoch = state.tries[usize::from(order)].epoch;
        is_live
            || state.views.iter().any(|view| {
                *view != 0 && *view == epoch && state.reachable_servers().any(|s| found(*view, s))
            })
    }

    /// Produces an order's entry again, by the relay or a drain. This happens once for each order: a second time
    /// would write the same record, which settlement drops in the same way.
    pub(super) fn produce_again(&self, state: &mut State, order: u8) {
        state.log.append(Record::Acceptance(order));
        state.logged.add(order);
        state.relayed.add(order);
    }

    pub(super) fn cancel(&self, state: &mut State, order: u8) {
        state.budget.cancels -= 1;
        state.cancels_acknowledged.add(order);
        state.log.append(Record::Cancel(order));
    }

    pub(super) fn take_over(&self, state: &mut State, owner: u8) {
        state.budget.takeovers -= 1;
        state.owners[usize::from(owner)] = Some(state.postgres.position);
    }

    /// Settles one record in one transaction. (A batch has the same effect as its records one after another.)
    pub(super) fn settle(&self, state: &mut State, owner: u8) {
        let Some(memory) = state.owners[usize::from(owner)] else { return };
        let position = state.postgres.position;
        if memory != position {
            if self.config.protections.compare_and_set {
                state.owners[usize::from(owner)] = Some(position); // fenced: drops its state and rereads it
                return;
            }
            state.misapplied = true;
        }
        let Some(record) = state.log.read(memory.offset) else { return };
        let mut after = memory;
        after.offset += 1;
        match record {
            Record::Acceptance(order) => {
                let attempt = state.tries[usize::from(order)];
                if attempt.epoch < memory.settled_epoch && self.config.protections.void {
                    // Void: no client was sent 202 for it.
                } else if attempt.sequence < memory.next_sequence && state.postgres.rows.has(order) {
                    // A duplicate: because of its sequence the owner looked up its ID.
                } else {
                    if self.is_accepted_by_schema(state, order) {
                        state.postgres.rows.add(order);
                        after.event += 1;
                        after.next_sequence = after.next_sequence.max(attempt.sequence + 1);
                    } else {
                        state.postgres.refused.add(order);
                    }
                }
            }
            Record::Barrier(epoch) => after.settled_epoch = after.settled_epoch.max(epoch),
            Record::Cancel(order) => {
                if state.postgres.rows.has(order) && !state.postgres.cancelled.has(order) {
                    state.postgres.cancelled.add(order);
                    state.postgres.cancelled_at[usize::from(order)] = memory.event;
                    after.event += 1;
                }
            }
        }
        state.postgres.position = after;
        state.owners[usize::from(owner)] = Some(after);
    }

    /// Returns whether the schema accepts the order. It rejects more units than exist, and a duplicate ID, key or
    /// sequence.
    fn is_accepted_by_schema(&self, state: &State, order: u8) -> bool {
        let sequence = state.tries[usize::from(order)].sequence;
        let is_duplicate = state.postgres.rows.iter().any(|other| {
            other == order
                || self.is_same_key(order, other)
                || state.tries[usize::from(other)].sequence == sequence
        });
        !is_duplicate && self.held(state) + self.request(order).units <= self.config.total
    }

    /// Returns the number of units of live orders.
    pub(crate) fn held(&self, state: &State) -> u8 {
        let live = state.postgres.rows.without(state.postgres.cancelled);
        live.iter().map(|order| self.request(order).units).sum()
    }
}

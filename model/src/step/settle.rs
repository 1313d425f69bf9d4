//! Settlement: `settle/settler.rs`, `decide/effects/`, `store/transaction.rs`, `recover/relay.rs`, and what appends cancellations.

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
                None if state.left.takeovers > 0 => actions.push(Action::TakeOver { owner }),
                None => {}
            }
        }
        if state.postgres.ready {
            let epoch = state.postgres.epoch;
            // The relay reads the stream itself: no script, no mark.
            for server in state.up() {
                for order in state.keys(server, epoch).outbox.without(state.relayed).each() {
                    actions.push(Action::Relay { order, server });
                }
            }
        }
        if state.left.cancels > 0 {
            actions.extend(
                self.orders()
                    .filter(|o| self.is_cancellable(state, *o))
                    .map(|order| Action::Cancel { order }),
            );
        }
    }

    /// Postgres has the order, and its hold may end; or a gateway with a lease finds it in Redis, and not in the
    /// outbox: then the log has it, and a command comes behind it (`command.rs`, `find.lua`).
    fn is_cancellable(&self, state: &State, order: u8) -> bool {
        let found = |epoch: u8, server: u8| {
            let keys = state.keys(server, epoch);
            self.runs(state, server, epoch)
                && keys.live.has(order)
                && !(keys.outbox.has(order) && self.config.protections.command_waits)
        };
        let standing = state.postgres.rows.has(order) && !state.postgres.cancelled.has(order);
        let epoch = state.tries[usize::from(order)].epoch;
        standing
            || state
                .views
                .iter()
                .any(|view| *view != 0 && *view == epoch && state.up().any(|s| found(*view, s)))
    }

    /// By the relay or a drain. Each order's entry is produced again once: a second time would write the
    /// same record again, and settlement drops it the same way.
    pub(super) fn produce_again(&self, state: &mut State, order: u8) {
        state.log.append(Record::Acceptance(order));
        state.logged.add(order);
        state.relayed.add(order);
    }

    pub(super) fn cancel(&self, state: &mut State, order: u8) {
        state.left.cancels -= 1;
        state.asked.add(order);
        state.log.append(Record::Cancel(order));
    }

    pub(super) fn take_over(&self, state: &mut State, owner: u8) {
        state.left.takeovers -= 1;
        state.owners[usize::from(owner)] = Some(state.postgres.position);
    }

    /// One transaction for one record. (A batch does what its records do one after the other.)
    pub(super) fn settle(&self, state: &mut State, owner: u8) {
        let Some(memory) = state.owners[usize::from(owner)] else { return };
        let position = state.postgres.position;
        if memory != position {
            if self.config.protections.compare_and_set {
                state.owners[usize::from(owner)] = Some(position); // fenced: forgets, and reads again
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
                    // void: nobody was told of it
                } else if attempt.sequence < memory.next_sequence && state.postgres.rows.has(order) {
                    // A double: its sequence made the owner look for its id.
                } else {
                    if self.fits(state, order) {
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

    /// What the schema refuses: more units than there are, a doubled id, key or sequence.
    fn fits(&self, state: &State, order: u8) -> bool {
        let sequence = state.tries[usize::from(order)].sequence;
        let doubled = state.postgres.rows.each().any(|other| {
            other == order
                || self.is_same_key(order, other)
                || state.tries[usize::from(other)].sequence == sequence
        });
        !doubled && self.held(state) + self.request(order).units <= self.config.total
    }

    /// Units of live orders.
    pub(crate) fn held(&self, state: &State) -> u8 {
        let live = state.postgres.rows.without(state.postgres.cancelled);
        live.each().map(|order| self.request(order).units).sum()
    }
}

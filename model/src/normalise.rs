//! States that differ only in what can no longer have any effect are made one. Each rule says why it may.
//!
//! Only where all protections are in place: without one of them, the past may come back.

use crate::World;
use crate::config::Protections;
use crate::state::{
    EPOCHS, GATEWAYS, Keys, Look, PAIR, Phase, Position, Record, Release, SERVERS, Server, Set, State, Step,
    Try,
};

impl World {
    pub(crate) fn normalise(&self, state: &mut State) {
        state.forget_what_is_read();
        if self.config.protections == Protections::ALL && !self.plain {
            self.merge(state);
        }
    }

    pub(crate) fn merge(&self, state: &mut State) {
        let settled = state.postgres.position.settled_epoch;
        self.forget_void_records(state, settled);
        for server in 0..SERVERS {
            for epoch in 1..=EPOCHS as u8 {
                self.normalise_keys(state, server, epoch, settled);
            }
        }
        for (index, keys) in state.copy.iter_mut().enumerate() {
            // No server that takes the copy has scripts, or ever gets those of its epochs.
            *keys = if index as u8 + 1 < settled { Keys::default() } else { unread_by_scripts(keys) };
        }
        if state.left.faults == 0 {
            (state.copy, state.left.copies) = Default::default();
        }
        let mut outboxes = Set::default();
        for data in state.servers.iter().map(|server| &server.data).chain([&state.copy]) {
            outboxes = data.iter().fold(outboxes, |all, keys| all.with(keys.outbox));
        }
        for order in self.orders() {
            normalise_try(state, order, settled);
            // Asked only where an entry is left that could be produced again, or deleted.
            let waits = outboxes.has(order) || state.tries[usize::from(order)].phase == Phase::Calling;
            if !waits {
                state.relayed.remove(order);
                state.logged.remove(order);
            }
        }
        self.normalise_calls(state);
        self.normalise_gateways(state);
        let position = state.postgres.position;
        for memory in state.owners.iter_mut().flatten().filter(|memory| **memory != position) {
            // All that a zombie can still do is to be fenced, whatever it remembers.
            *memory = Position { offset: position.offset, ..Position::default() };
        }
        state.forget_what_is_read();
    }

    /// A release that is refused wherever it arrives: by a script that does not run, or a watermark that has
    /// moved on. None ever goes back.
    fn normalise_calls(&self, state: &mut State) {
        for releaser in 0..PAIR {
            let call = state.releases[releaser];
            let applies = |server: u8| {
                self.runs(state, server, call.epoch) && state.keys(server, call.epoch).watermark == call.after
            };
            if call.epoch != 0 && !state.up().any(applies) {
                state.releases[releaser] = Release::default();
            }
        }
    }

    /// A gateway that no customer will go to any more, and that answers nothing, reads what is published at
    /// once. All that its old lease could do is to make a rebuild wait, and that it may end at any time.
    fn normalise_gateways(&self, state: &mut State) {
        for gateway in 0..GATEWAYS as u8 {
            let is_busy = self.orders().any(|order| {
                let attempt = state.tries[usize::from(order)];
                match attempt.phase {
                    Phase::Idle => self.request(order).gateway.is_none_or(|only| only == gateway),
                    Phase::Calling | Phase::Producing | Phase::Appended => attempt.gateway == gateway,
                    _ => false,
                }
            });
            // Any gateway may pass a cancellation on.
            if !is_busy && state.left.cancels == 0 {
                self.read_sales(state, gateway);
                state.looks[usize::from(gateway)] = Look::default();
            }
        }
    }

    /// Whoever settles them moves the position, and nothing else.
    fn forget_void_records(&self, state: &mut State, settled: u8) {
        for offset in (0..state.log.end()).rev() {
            if let Some(Record::Acceptance(order)) = state.log.read(offset)
                && state.tries[usize::from(order)].epoch < settled
            {
                state.forget_record(offset);
            }
        }
    }

    fn normalise_keys(&self, state: &mut State, server: usize, epoch: u8, settled: u8) {
        let being_built = state.rebuilders.iter().any(|it| {
            it.step == Step::Written && it.epoch == epoch && usize::from(it.server) == server && !it.broken
        });
        let runs = self.runs(state, server as u8, epoch);
        let Server { scripts, history, data, .. } = &mut state.servers[server];
        let keys = &mut data[usize::from(epoch - 1)];
        if epoch < settled {
            // The barrier is settled: whatever still comes of this epoch is void, and no gateway answers
            // from it (an invariant of its own).
            *keys = Keys::default();
        } else if !runs && !being_built {
            // No script will run on these keys again. The relay and a drain read the outbox without one.
            *keys = unread_by_scripts(keys);
        }
        if epoch < settled || !runs {
            scripts.remove(epoch);
            history.remove(epoch);
        }
    }
}

fn unread_by_scripts(keys: &Keys) -> Keys {
    Keys { outbox: keys.outbox, ..Keys::default() }
}

fn normalise_try(state: &mut State, order: u8, settled: u8) {
    let read_again = state.log.holds(order);
    let has_row = state.postgres.rows.has(order);
    let attempt = &mut state.tries[usize::from(order)];
    let ended = attempt.epoch < settled;
    match attempt.phase {
        Phase::Idle => return,
        // Its record is void, or settled already; its answer is 503 either way.
        Phase::Calling | Phase::Producing | Phase::Appended if ended => attempt.phase = Phase::Unknown,
        Phase::Calling | Phase::Producing | Phase::Appended => return,
        _ => {}
    }
    attempt.gateway = 0;
    attempt.overlapped = false;
    let made_nothing = attempt.sequence == 0 || (ended && !has_row);
    if made_nothing && !read_again {
        *attempt = Try { phase: attempt.phase, ..Try::default() };
    } else if has_row && !read_again && ended {
        attempt.epoch = 0;
    }
}

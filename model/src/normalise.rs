//! Merges states that differ only in data that can no longer have an effect. Each rule states why it is sound.
//!
//! States are merged only while all protections are in place. Without one of them, old data may still have an
//! effect.

use crate::World;
use crate::config::Protections;
use crate::state::{
    EPOCHS, GATEWAYS, Keys, PAIR, Phase, Position, RebuildStep, Record, Release, SERVERS, Server, Set, State,
    StockSnapshot, Try,
};

impl World {
    pub(crate) fn normalise(&self, state: &mut State) {
        state.drop_read_records();
        if self.config.protections == Protections::ALL && !self.unmerged {
            self.merge(state);
        }
    }

    pub(crate) fn merge(&self, state: &mut State) {
        let settled = state.postgres.position.settled_epoch;
        self.remove_void_records(state, settled);
        for server in 0..SERVERS {
            for epoch in 1..=EPOCHS as u8 {
                self.normalise_keys(state, server, epoch, settled);
            }
        }
        for (index, keys) in state.copy.iter_mut().enumerate() {
            // A server that restores the copy has no scripts, and never gets those of the copy's epochs.
            *keys = if index as u8 + 1 < settled { Keys::default() } else { outbox_only(keys) };
        }
        if state.budget.faults == 0 {
            (state.copy, state.budget.copies) = Default::default();
        }
        let mut outboxes = Set::default();
        for data in state.servers.iter().map(|server| &server.data).chain([&state.copy]) {
            outboxes = data.iter().fold(outboxes, |all, keys| all.with(keys.outbox));
        }
        for order in self.orders() {
            normalise_try(state, order, settled);
            // These sets matter only while an entry exists that could be produced again or deleted.
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
            // A zombie can only be fenced, whatever position it remembers.
            *memory = Position { offset: position.offset, ..Position::default() };
        }
        state.drop_read_records();
    }

    /// Drops a release call that every server would refuse, because the script does not run there or because the
    /// watermark has advanced. A watermark never goes back.
    fn normalise_calls(&self, state: &mut State) {
        for releaser in 0..PAIR {
            let call = state.releases[releaser];
            let applies = |server: u8| {
                self.runs(state, server, call.epoch) && state.keys(server, call.epoch).watermark == call.after
            };
            if call.epoch != 0 && !state.reachable_servers().any(applies) {
                state.releases[releaser] = Release::default();
            }
        }
    }

    /// Lets a gateway read the publications immediately if it will receive no further request and has none in
    /// progress. Its old lease could only make a rebuild wait, and it may end at any time.
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
            // Any gateway may forward a cancellation.
            if !is_busy && state.budget.cancels == 0 {
                self.read_sales(state, gateway);
                state.snapshots[usize::from(gateway)] = StockSnapshot::default();
            }
        }
    }

    /// Removes void records: settling one advances the position and changes nothing else.
    fn remove_void_records(&self, state: &mut State, settled: u8) {
        for offset in (0..state.log.end()).rev() {
            if let Some(Record::Acceptance(order)) = state.log.read(offset)
                && state.tries[usize::from(order)].epoch < settled
            {
                state.remove_record(offset);
            }
        }
    }

    fn normalise_keys(&self, state: &mut State, server: usize, epoch: u8, settled: u8) {
        let being_built = state.rebuilders.iter().any(|rebuild| {
            rebuild.step == RebuildStep::Written
                && rebuild.epoch == epoch
                && usize::from(rebuild.server) == server
                && !rebuild.broken
        });
        let runs = self.runs(state, server as u8, epoch);
        let Server { scripts, history, data, .. } = &mut state.servers[server];
        let keys = &mut data[usize::from(epoch - 1)];
        if epoch < settled {
            // The barrier is settled: any later record of this epoch is void, and no gateway responds from it
            // (which is an invariant of its own).
            *keys = Keys::default();
        } else if !runs && !being_built {
            // No script will run on these keys again. The relay and a drain read the outbox without a script.
            *keys = outbox_only(keys);
        }
        if epoch < settled || !runs {
            scripts.remove(epoch);
            history.remove(epoch);
        }
    }
}

fn outbox_only(keys: &Keys) -> Keys {
    Keys { outbox: keys.outbox, ..Keys::default() }
}

fn normalise_try(state: &mut State, order: u8, settled: u8) {
    let read_again = state.log.holds(order);
    let has_row = state.postgres.rows.has(order);
    let attempt = &mut state.tries[usize::from(order)];
    let ended = attempt.epoch < settled;
    match attempt.phase {
        Phase::Idle => return,
        // The record is void or already settled; the response is 503 in both cases.
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

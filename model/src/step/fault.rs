//! The faults of Redis.

use crate::World;
use crate::action::Action;
use crate::config::Fault;
use crate::state::{Data, Server, Set, State};

/// The first primary.
const PRIMARY: usize = 0;
/// The replica, once it is promoted.
const PROMOTED: usize = 1;

impl World {
    pub(super) fn fault_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.budget.copies > 0 && !state.servers[PROMOTED].up {
            actions.push(Action::CatchUp);
        }
        if state.budget.faults == 0 {
            return;
        }
        for fault in self.config.faults.1 {
            let split = state.servers[PROMOTED].up;
            let possible = match fault {
                Fault::Failover => !split,
                Fault::Failback => split,
                _ => true,
            };
            if possible {
                actions.push(Action::Fail(*fault));
            }
        }
    }

    pub(super) fn catch_up(&self, state: &mut State) {
        state.budget.copies -= 1;
        state.copy = state.servers[PRIMARY].data;
    }

    pub(super) fn fail(&self, state: &mut State, fault: Fault) {
        state.budget.faults -= 1;
        match fault {
            Fault::RestartEmpty => restart(state, Data::default()),
            Fault::RestartOld => restart(state, state.copy),
            Fault::RestartWhole => restart(state, state.servers[PRIMARY].data),
            Fault::FlushAll => state.servers[PRIMARY].data = Data::default(),
            Fault::Failover => {
                // The replica has neither the scripts nor the replication ID.
                state.servers[PROMOTED] = Server { up: true, data: state.copy, ..Server::default() };
            }
            Fault::Failback => {
                state.servers[PRIMARY].data = state.servers[PROMOTED].data;
                state.servers[PRIMARY].history = Set::default();
                state.servers[PROMOTED] = Server::default();
                break_connections(state, PRIMARY);
                break_connections(state, PROMOTED);
            }
        }
    }
}

/// Replaces the primary by a new process with a new replication ID and no scripts.
fn restart(state: &mut State, data: Data) {
    state.servers[PRIMARY] = Server { up: true, data, ..Server::default() };
    break_connections(state, PRIMARY);
}

fn break_connections(state: &mut State, server: usize) {
    for rebuilder in &mut state.rebuilders {
        let connected = rebuilder.epoch != 0 && usize::from(rebuilder.server) == server;
        rebuilder.broken |= connected;
    }
}

#![doc = include_str!("../README.md")]

mod action;
pub mod clock;
mod config;
mod configurations;
mod describe;
mod fingerprint;
mod normalise;
mod properties;
pub mod search;
pub mod state;
mod step;

pub use action::Action;
pub use config::{Config, Fault, Protections, Request};
pub use configurations::{configurations, deep_configurations, protection_names, without_protection};
pub use state::State;

use state::{Data, EPOCHS, EventBudget, Keys, Position, Postgres, Server, Set, TRIES};
use stateright::{Model, Property};

/// A configuration as a model that can be searched.
#[derive(Clone, Debug)]
pub struct World {
    config: Config,
    unmerged: bool,
}

impl World {
    /// Creates the world that is searched, in which equivalent states are merged.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), unmerged: false }
    }
    /// Creates a world in which no states are merged.
    pub fn unmerged(config: &Config) -> Self {
        Self { config: config.clone(), unmerged: true }
    }
    /// Returns the state that represents all states equivalent to this one.
    pub fn representative(&self, state: &State) -> State {
        let mut state = *state;
        self.merge(&mut state);
        state
    }
    /// Returns the attempts of this configuration. Each is also the ID of the order that it makes, if it makes one.
    pub(crate) fn orders(&self) -> std::ops::Range<u8> {
        0..self.config.requests.len() as u8
    }
    pub(crate) fn request(&self, order: u8) -> Request {
        self.config.requests[usize::from(order)]
    }
    pub(crate) fn is_same_key(&self, left: u8, right: u8) -> bool {
        let (left, right) = (self.request(left), self.request(right));
        (left.customer, left.key) == (right.customer, right.key)
    }
    /// Returns the other attempts with the same key.
    pub(crate) fn same_key(&self, order: u8) -> impl Iterator<Item = u8> + '_ {
        self.orders().filter(move |other| *other != order && self.is_same_key(order, *other))
    }
    /// Returns the initial state: epoch 1 is open on the first server, nothing is sold, and both gateways have read
    /// the publication.
    pub(crate) fn first_state(&self) -> State {
        let config = &self.config;
        assert!(config.requests.len() <= TRIES && usize::from(config.rebuilds) < EPOCHS);
        let keys = Keys { present: true, marked: true, available: config.total, next: 1, ..Keys::default() };
        let mut data = Data::default();
        data[0] = keys;
        let mut epochs = Set::default();
        epochs.add(1);
        let position = Position { offset: 0, event: 1, settled_epoch: 1, next_sequence: 1 };
        State {
            tries: Default::default(),
            views: [1, 1],
            snapshots: Default::default(),
            servers: [Server { up: true, scripts: epochs, history: epochs, data }, Server::default()],
            copy: if config.faults.0 > 0 { data } else { Data::default() },
            log: Default::default(),
            logged: Set::default(),
            relayed: Set::default(),
            postgres: Postgres { position, epoch: 1, ready: true, ..Postgres::default() },
            owners: [Some(position), None],
            releases: Default::default(),
            rebuilders: Default::default(),
            budget: EventBudget {
                faults: config.faults.0,
                copies: config.copies,
                cancels: config.cancels,
                takeovers: config.takeovers,
                rebuilds: config.rebuilds,
            },
            cancels_acknowledged: Set::default(),
            misapplied: false,
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = self.first_state();
        self.normalise(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        self.perform(&mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::properties(self)
    }
}

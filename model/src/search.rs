//! Searches a configuration: either all its states, or until an invariant is violated.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::{Action, Config, World};

/// The result of a search.
#[derive(Debug)]
pub struct SearchReport {
    /// The number of transitions: states, counted as often as they were reached.
    pub transitions: usize,
    /// The number of distinct states.
    pub states: usize,
    /// The number of steps of the longest path.
    pub depth: usize,
    /// The duration of the search.
    pub elapsed: Duration,
    /// Whether the search visited every state without finding a violation.
    pub is_complete: bool,
    /// The violations, shortest first.
    pub violations: Vec<Counterexample>,
    /// The expected events that happened in no state.
    pub unreached: Vec<&'static str>,
}

impl SearchReport {
    /// The header of the table of results.
    pub const HEADER: &'static str = "configuration              states  transitions  depth  seconds  result";

    /// Formats the result as a row of the table.
    pub fn row(&self, config: &Config) -> String {
        let result = match (self.is_complete, self.unreached.as_slice()) {
            (true, []) => "every invariant holds in every state".into(),
            (true, unreached) => format!("never reached: {}", unreached.join(", ")),
            (false, _) => "VIOLATED".into(),
        };
        format!(
            "{:23} {:>9} {:>12} {:>6} {:>8.1}  {result}",
            config.name,
            self.states,
            self.transitions,
            self.depth,
            self.elapsed.as_secs_f64(),
        )
    }
}

/// A sequence of actions that violates an invariant.
#[derive(Debug)]
pub struct Counterexample {
    /// The name of the invariant.
    pub invariant: &'static str,
    /// The steps that lead to the violation, in order.
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "violates \"{}\"", self.invariant)?;
        self.steps.iter().zip(1..).try_for_each(|(step, number)| write!(f, "\n  {number:>2}. {step}"))
    }
}

/// Searches all states of a configuration.
pub fn search_exhaustively(config: &Config) -> SearchReport {
    search(config, HasDiscoveries::All, 2)
}

/// Searches until an invariant is violated. It uses one thread, so that the result is deterministic.
pub fn search_until_violation(config: &Config) -> SearchReport {
    search(config, HasDiscoveries::AnyFailures, 1)
}

fn search(config: &Config, until: HasDiscoveries, threads: usize) -> SearchReport {
    let started = Instant::now();
    let world = World::new(config);
    let checker = world.clone().checker().threads(threads).finish_when(until).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let mut violations = Vec::new();
    let mut unreached = Vec::new();
    for property in world.properties() {
        match (property.expectation.discovery_is_failure(), discoveries.get(property.name)) {
            (true, Some(path)) => {
                let actions = path.clone().into_actions();
                let steps = world.describe(&world.shorten(actions, &property));
                violations.push(Counterexample { invariant: property.name, steps });
            }
            (false, None) => unreached.push(property.name),
            _ => {}
        }
    }
    violations.sort_by_key(|example| example.steps.len());
    SearchReport {
        transitions: checker.state_count(),
        states: checker.unique_state_count(),
        depth: checker.max_depth() - 1,
        elapsed: started.elapsed(),
        is_complete: checker.is_done() && violations.is_empty(),
        violations,
        unreached,
    }
}

impl World {
    /// Removes every action without which the invariant is still violated. (The checker returns the last
    /// counterexample of a block of states, which contains unrelated actions.)
    fn shorten(&self, mut actions: Vec<Action>, property: &Property<Self>) -> Vec<Action> {
        let mut index = 0;
        while index < actions.len() {
            let mut without = actions.clone();
            without.remove(index);
            match self.steps_to_violation(&without, property) {
                Some(end) => {
                    without.truncate(end);
                    actions = without;
                    index = 0;
                }
                None => index += 1,
            }
        }
        actions
    }

    /// Returns the number of actions after which the property no longer holds, or `None` if it still holds or if
    /// an action is impossible.
    fn steps_to_violation(&self, actions: &[Action], property: &Property<Self>) -> Option<usize> {
        let mut state = self.first_state();
        self.normalise(&mut state);
        let mut possible = Vec::new();
        for (taken, action) in actions.iter().enumerate() {
            if !(property.condition)(self, &state) {
                return Some(taken);
            }
            possible.clear();
            self.possible(&state, &mut possible);
            if !possible.contains(action) {
                return None;
            }
            self.perform(&mut state, *action);
        }
        (!(property.condition)(self, &state)).then_some(actions.len())
    }
}

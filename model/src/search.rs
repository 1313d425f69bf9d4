//! Searching a configuration: all its states, or a short way to a broken invariant.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::{Action, Config, World};

/// What a search came to.
#[derive(Debug)]
pub struct Found {
    /// Transitions taken: states, counted as often as they were reached.
    pub transitions: usize,
    /// Distinct states.
    pub states: usize,
    /// Steps of the longest way that was gone.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Every state was seen.
    pub is_complete: bool,
    /// Broken invariants.
    pub broken: Vec<Counterexample>,
    /// What should have happened somewhere, and did not.
    pub missed: Vec<&'static str>,
}

impl Found {
    /// The head of a table of searches.
    pub const HEAD: &'static str = "configuration              states  transitions  depth  seconds  result";

    /// A row of it.
    pub fn row(&self, config: &Config) -> String {
        let result = match (self.is_complete, self.missed.as_slice()) {
            (true, []) => "every invariant holds in every state".into(),
            (true, missed) => format!("never seen: {}", missed.join(", ")),
            (false, _) => "BROKEN".into(),
        };
        format!(
            "{:23} {:>9} {:>12} {:>6} {:>8.1}  {result}",
            config.name,
            self.states,
            self.transitions,
            self.depth,
            self.took.as_secs_f64(),
        )
    }
}

/// How an invariant is broken.
#[derive(Debug)]
pub struct Counterexample {
    /// Which one.
    pub invariant: &'static str,
    /// The steps that lead there.
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "breaks \"{}\"", self.invariant)?;
        self.steps.iter().zip(1..).try_for_each(|(step, number)| write!(f, "\n  {number:>2}. {step}"))
    }
}

/// Searches everything.
pub fn all(config: &Config) -> Found {
    search(config, HasDiscoveries::All, 2)
}

/// Searches until an invariant is broken. One thread, so that the result is always the same.
pub fn first_broken(config: &Config) -> Found {
    search(config, HasDiscoveries::AnyFailures, 1)
}

fn search(config: &Config, until: HasDiscoveries, threads: usize) -> Found {
    let begun = Instant::now();
    let world = World::new(config);
    let checker = world.clone().checker().threads(threads).finish_when(until).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let mut broken = Vec::new();
    let mut missed = Vec::new();
    for property in world.properties() {
        match (property.expectation.discovery_is_failure(), discoveries.get(property.name)) {
            (true, Some(path)) => {
                let actions = path.clone().into_actions();
                let steps = world.describe(&world.shorten(actions, &property));
                broken.push(Counterexample { invariant: property.name, steps });
            }
            (false, None) => missed.push(property.name),
            _ => {}
        }
    }
    broken.sort_by_key(|example| example.steps.len());
    Found {
        transitions: checker.state_count(),
        states: checker.unique_state_count(),
        depth: checker.max_depth() - 1,
        took: begun.elapsed(),
        is_complete: checker.is_done() && broken.is_empty(),
        broken,
        missed,
    }
}

impl World {
    /// Leaves out every step without which the invariant is broken all the same. (The checker hands out the
    /// last counterexample of a block of states, with steps of others in between.)
    fn shorten(&self, mut actions: Vec<Action>, property: &Property<Self>) -> Vec<Action> {
        let mut at = 0;
        while at < actions.len() {
            let mut without = actions.clone();
            without.remove(at);
            match self.first_broken_at(&without, property) {
                Some(end) => {
                    without.truncate(end);
                    actions = without;
                    at = 0;
                }
                None => at += 1,
            }
        }
        actions
    }

    /// After how many of the actions the property does not hold any more, if all are possible.
    fn first_broken_at(&self, actions: &[Action], property: &Property<Self>) -> Option<usize> {
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

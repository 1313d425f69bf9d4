//! Merging states loses nothing: the representatives of all states of an unmerged world are exactly the states
//! that are searched.

use std::collections::HashSet;

use model::{Config, State, World, configurations};
use stateright::Model;

fn reachable(world: &World) -> HashSet<State> {
    let mut visited: HashSet<State> = world.init_states().into_iter().collect();
    let mut pending: Vec<State> = visited.iter().copied().collect();
    while let Some(state) = pending.pop() {
        for next in world.next_states(&state) {
            if visited.insert(next) {
                pending.push(next);
            }
        }
    }
    visited
}

#[test]
fn the_searched_states_represent_exactly_the_reachable_states() {
    for name in ["lost state", "split", "releases", "zombie owner"] {
        let config =
            configurations().into_iter().find(|config| config.name == name).expect("a configuration");
        // Ann does not retry; otherwise the unmerged world would not fit in memory.
        let config = Config { requests: &config.requests[1..], cancels: config.cancels.min(1), ..config };
        let all = reachable(&World::unmerged(&config));
        let world = World::new(&config);
        let represented: HashSet<State> = all.iter().map(|state| world.representative(state)).collect();
        let searched = reachable(&world);
        println!("{name}: {} states, {} of them searched", all.len(), searched.len());
        let differences = represented.symmetric_difference(&searched).count();
        for state in represented.difference(&searched).take(1) {
            println!("only represented: {state:?}");
        }
        for state in searched.difference(&represented).take(1) {
            println!("only searched: {state:?}");
        }
        assert_eq!(differences, 0, "{name}");
    }
}

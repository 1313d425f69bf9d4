//! What the search leaves out makes no difference: the states of a world in which every state stands for
//! itself are, one by one, represented by exactly those that are searched.

use std::collections::HashSet;

use model::{Config, State, World, configurations};
use stateright::Model;

fn reachable(world: &World) -> HashSet<State> {
    let mut seen: HashSet<State> = world.init_states().into_iter().collect();
    let mut pending: Vec<State> = seen.iter().copied().collect();
    while let Some(state) = pending.pop() {
        for next in world.next_states(&state) {
            if seen.insert(next) {
                pending.push(next);
            }
        }
    }
    seen
}

#[test]
fn the_states_that_are_searched_stand_for_all_there_are() {
    for name in ["lost state", "split", "releases", "zombie owner"] {
        let config =
            configurations().into_iter().find(|config| config.name == name).expect("a configuration");
        // Ann does not repeat: the plain world would be too large to hold.
        let config = Config { requests: &config.requests[1..], cancels: config.cancels.min(1), ..config };
        let all = reachable(&World::plain(&config));
        let world = World::new(&config);
        let represented: HashSet<State> = all.iter().map(|state| world.representative(state)).collect();
        let searched = reachable(&world);
        println!("{name}: {} states, {} of them searched", all.len(), searched.len());
        let strangers = represented.symmetric_difference(&searched).count();
        for state in represented.difference(&searched).take(1) {
            println!("only represented: {state:?}");
        }
        for state in searched.difference(&represented).take(1) {
            println!("only searched: {state:?}");
        }
        assert_eq!(strangers, 0, "{name}");
    }
}

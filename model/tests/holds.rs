//! The invariants hold in every state of every configuration.

use model::configurations;
use model::search::{self, Found};

#[test]
fn every_invariant_holds_in_every_state() {
    let mut states = 0;
    println!("{}", Found::HEAD);
    for config in configurations() {
        let found = search::all(&config);
        println!("{}", found.row(&config));
        if let Some(example) = found.broken.first() {
            panic!("{}: {example}", config.name);
        }
        assert!(found.missed.is_empty(), "{}: never seen: {:?}", config.name, found.missed);
        assert!(found.is_complete, "{}: not all states were seen", config.name);
        states += found.states;
    }
    println!("{states} states in all");
}

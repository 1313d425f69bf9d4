//! The invariants hold in every state of every configuration.

use model::{configurations, search};

#[test]
fn every_invariant_holds_in_every_state() {
    let mut states = 0;
    for config in configurations() {
        let found = search::all(&config);
        println!(
            "{}: {} states, {} transitions, depth {}, {:.1} s",
            config.name,
            found.states,
            found.transitions,
            found.depth,
            found.took.as_secs_f64()
        );
        for example in &found.broken {
            println!("  broken: {}\n    {}", example.invariant, example.steps.join("\n    "));
        }
        assert!(found.broken.is_empty(), "{}: an invariant is broken", config.name);
        assert!(found.missed.is_empty(), "{}: never seen: {:?}", config.name, found.missed);
        assert!(found.is_complete, "{}: not all states were seen", config.name);
        states += found.states;
    }
    println!("{states} states in all");
}

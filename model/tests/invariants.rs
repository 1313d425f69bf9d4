//! Every invariant holds in every state of every configuration.

use model::configurations;
use model::search::{self, SearchReport};

#[test]
fn every_invariant_holds_in_every_state() {
    let mut states = 0;
    println!("{}", SearchReport::HEADER);
    for config in configurations() {
        let report = search::search_exhaustively(&config);
        println!("{}", report.row(&config));
        if let Some(example) = report.violations.first() {
            panic!("{}: {example}", config.name);
        }
        assert!(report.unreached.is_empty(), "{}: never reached: {:?}", config.name, report.unreached);
        assert!(report.is_complete, "{}: the search did not visit every state", config.name);
        states += report.states;
    }
    println!("{states} states in total");
}

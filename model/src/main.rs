//! Searches every configuration, then searches once without each protection, and prints the results.
//! With `--deep` it searches larger configurations instead.

use std::process::ExitCode;

use model::search::{self, SearchReport};
use model::{configurations, deep_configurations, protection_names, without_protection};

fn main() -> ExitCode {
    let deep = std::env::args().any(|argument| argument == "--deep");
    let holds = search_all(if deep { deep_configurations() } else { configurations() });
    if holds && (deep || violates_without_each()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn search_all(configurations: Vec<model::Config>) -> bool {
    let (mut holds, mut states) = (true, 0);
    println!("{}", SearchReport::HEADER);
    for config in configurations {
        let report = search::search_exhaustively(&config);
        println!("{}", report.row(&config));
        for example in &report.violations {
            println!("{example}");
        }
        holds &= report.is_complete && report.unreached.is_empty();
        states += report.states;
    }
    println!("{:23} {states:>9}", "total");
    holds
}

fn violates_without_each() -> bool {
    let mut all_necessary = true;
    for protection in protection_names() {
        let Some(config) = without_protection(protection) else { return false };
        let report = search::search_until_violation(&config);
        match report.violations.first() {
            Some(example) => println!("\nwithout {protection} ({}): {example}", config.name),
            None => println!("\nwithout {protection} ({}): NO INVARIANT IS VIOLATED", config.name),
        }
        all_necessary &= !report.violations.is_empty();
    }
    all_necessary
}

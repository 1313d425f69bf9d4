//! Searches every configuration, then each protection's absence, and prints what was found.
//! `--deep`: larger configurations instead.

use std::process::ExitCode;

use model::search::{self, Found};
use model::{configurations, deep_configurations, protections, weakened};

fn main() -> ExitCode {
    let deep = std::env::args().any(|argument| argument == "--deep");
    let whole = all_hold(if deep { deep_configurations() } else { configurations() });
    if whole && (deep || each_is_missed()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all_hold(configurations: Vec<model::Config>) -> bool {
    let (mut whole, mut states) = (true, 0);
    println!("{}", Found::HEAD);
    for config in configurations {
        let found = search::all(&config);
        println!("{}", found.row(&config));
        for example in &found.broken {
            println!("{example}");
        }
        whole &= found.is_complete && found.missed.is_empty();
        states += found.states;
    }
    println!("{:23} {states:>9}", "in all");
    whole
}

fn each_is_missed() -> bool {
    let mut all = true;
    for protection in protections() {
        let Some(config) = weakened(protection) else { return false };
        let found = search::first_broken(&config);
        match found.broken.first() {
            Some(example) => println!("\nwithout {protection} ({}): {example}", config.name),
            None => println!("\nwithout {protection} ({}): NOTHING BREAKS", config.name),
        }
        all &= !found.broken.is_empty();
    }
    all
}

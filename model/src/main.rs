//! Searches every configuration, and prints what was found.

use model::{Protections, configurations, search, weakened};

fn main() {
    println!("{:24} {:>12} {:>10} {:>6} {:>8}", "configuration", "transitions", "states", "depth", "seconds");
    for config in configurations() {
        let found = search::all(&config);
        println!(
            "{:24} {:>12} {:>10} {:>6} {:>8.1}  {}",
            config.name,
            found.transitions,
            found.states,
            found.depth,
            found.took.as_secs_f64(),
            if found.is_complete { "all invariants hold" } else { "BROKEN" },
        );
        for example in found.broken {
            println!("  {}\n    {}", example.invariant, example.steps.join("\n    "));
        }
    }
    for (protection, _) in Protections::each_removed() {
        let Some(config) = weakened(protection) else { continue };
        for example in search::first_broken(&config).broken.first() {
            println!("\nwithout {protection} ({}): {}", config.name, example.invariant);
            println!("    {}", example.steps.join("\n    "));
        }
    }
}

//! Searches every configuration, and prints what was found.

use model::{configurations, deep_configurations, protections, search, weakened};

fn main() {
    println!("{:24} {:>12} {:>10} {:>6} {:>8}", "configuration", "transitions", "states", "depth", "seconds");
    let deep = std::env::args().any(|argument| argument == "--deep");
    let searched = if deep { deep_configurations() } else { configurations() };
    for config in searched {
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
    if deep {
        return;
    }
    for protection in protections() {
        let Some(config) = weakened(protection) else { continue };
        if let Some(example) = search::first_broken(&config).broken.first() {
            println!("\nwithout {protection} ({}): {}", config.name, example.invariant);
            println!("    {}", example.steps.join("\n    "));
        }
    }
}

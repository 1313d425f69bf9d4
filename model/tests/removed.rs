//! Without any one protection, an invariant breaks: each is needed, and the search would see it.

use model::{protections, search, weakened};

#[test]
fn each_protection_is_missed_when_it_is_removed() {
    for protection in protections() {
        let config = weakened(protection).expect("a configuration for each protection");
        let found = search::first_broken(&config);
        let example = found.broken.first().unwrap_or_else(|| panic!("nothing breaks without {protection}"));
        println!("without {protection}: {}\n  {}", example.invariant, example.steps.join("\n  "));
    }
}

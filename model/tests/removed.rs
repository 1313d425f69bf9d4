//! Without any one protection, an invariant breaks: each is needed, and the search would see it.

use model::{protections, search, weakened};

/// A protection, and the invariant that breaks without it.
const MISSED: [(&str, &str); 15] = [
    ("lease", "2 "),
    ("barrier", "5, 6 "),
    ("mark", "7 "),
    ("outbox", "2 "),
    ("compare-and-set", "10 "),
    ("release rule", "5, 6 "),
    ("replay before refusal", "4 "),
    ("lease looked at last", "2 "),
    ("barrier settled first", "5, 6 "),
    ("void", "5, 6 "),
    ("replication id", "4 "),
    ("forgetting last", "5, 6 "),
    ("repeats wait", "2 "),
    ("commands wait", "a cancellation "),
    ("announcement", "7 "),
];

#[test]
fn each_protection_is_missed_when_it_is_removed() {
    assert!(protections().eq(MISSED.map(|(protection, _)| protection)), "one expectation for each");
    for (protection, invariant) in MISSED {
        let config = weakened(protection).expect("a configuration for each protection");
        let found = search::first_broken(&config);
        for example in &found.broken {
            println!("without {protection} ({}): {example}", config.name);
        }
        assert!(!found.broken.is_empty(), "nothing breaks without {protection}");
        let expected = found.broken.iter().any(|example| example.invariant.starts_with(invariant));
        assert!(expected, "{protection}: another invariant breaks than {invariant:?}");
    }
}

//! Removing any one protection violates an invariant: each protection is necessary, and the search detects its
//! absence.

use model::{protection_names, search, without_protection};

/// Each protection and the invariant that is violated without it.
const VIOLATED: [(&str, &str); 15] = [
    ("lease", "2 "),
    ("barrier", "5, 6 "),
    ("mark", "7 "),
    ("outbox", "2 "),
    ("compare-and-set", "10 "),
    ("release rule", "5, 6 "),
    ("replay before refusal", "4 "),
    ("lease checked last", "2 "),
    ("barrier settled first", "5, 6 "),
    ("void", "5, 6 "),
    ("replication id", "4 "),
    ("outbox entry deleted last", "5, 6 "),
    ("retries wait", "2 "),
    ("commands wait", "a cancellation "),
    ("announcement", "7 "),
];

#[test]
fn removing_any_protection_violates_its_invariant() {
    assert!(protection_names().eq(VIOLATED.map(|(protection, _)| protection)), "one expectation for each");
    for (protection, invariant) in VIOLATED {
        let config = without_protection(protection).expect("a configuration for each protection");
        let report = search::search_until_violation(&config);
        for example in &report.violations {
            println!("without {protection} ({}): {example}", config.name);
        }
        assert!(!report.violations.is_empty(), "no invariant is violated without {protection}");
        let is_expected = report.violations.iter().any(|example| example.invariant.starts_with(invariant));
        assert!(is_expected, "{protection}: an invariant other than {invariant:?} is violated");
    }
}

//! The generated reference is up to date, and lists every metric.

/// `./dev docs` updates the pages.
#[test]
fn the_reference_is_up_to_date() {
    let root = book::root();
    let mut outdated = Vec::new();
    for (path, text) in book::reference::pages(&root).unwrap_or_else(|error| panic!("{error}")) {
        let stored = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        if stored != text {
            let first = stored.lines().zip(text.lines()).find(|(stored, new)| stored != new);
            outdated.push(format!("{}: {first:?}", path.display()));
        }
    }
    assert!(outdated.is_empty(), "outdated; run `./dev docs`:\n{}", outdated.join("\n"));
}

/// Every program declares its metrics, and a metric that several programs record is the same in each.
#[test]
fn every_program_declares_consistent_metrics() {
    use process::metric::declarations;
    use std::collections::BTreeMap;

    let mut all = BTreeMap::new();
    for program in ["process", "gateway", "settlement", "downstream"] {
        let declared = declarations(program);
        assert!(declared.len() > 5, "{program} declares {declared:?}");
        for pair in declared.windows(2) {
            assert_ne!(pair[0].name, pair[1].name, "{program} declares a metric twice");
        }
        for metric in declared {
            assert!(metric.help.ends_with('.'), "the help of {} is not a sentence", metric.name);
            let same = *all.entry(metric.name).or_insert((metric.kind, metric.labels));
            assert_eq!(same, (metric.kind, metric.labels), "{} differs between programs", metric.name);
        }
    }
}

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

/// Every metric that the sources record is described, and every described metric is recorded.
#[test]
fn every_metric_is_described() {
    use process::metric_help::{COMMON_METRICS, Metric};
    use std::collections::BTreeSet;

    for (program, own) in [
        ("gateway", gateway::described::METRICS),
        ("settlement", settlement::described::METRICS),
        ("downstream", downstream::metric_help::METRICS),
        ("process", COMMON_METRICS),
    ] {
        let all = own.iter().chain(COMMON_METRICS);
        let described: BTreeSet<&str> = all.map(|metric: &Metric| metric.name).collect();
        let counted = counted(&book::root().join(program).join("src"));
        assert!(counted.len() > 5, "{program}: {counted:?}");
        let missing: Vec<_> = counted.iter().filter(|name| !described.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{program}/src/described.rs lacks {missing:?}");
        let gone: Vec<_> =
            own.iter().map(|metric| metric.name).filter(|name| !counted.contains(*name)).collect();
        assert!(gone.is_empty() || program == "process", "{program} has no {gone:?}");
    }
}

/// Returns the names in `counter!("…")`, `gauge!("…")` and `histogram!("…")`.
fn counted(folder: &std::path::Path) -> std::collections::BTreeSet<String> {
    let mut names = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names.extend(counted(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let text = text.split("#[cfg(test)]").next().expect("its beginning");
            for macro_name in ["counter!(", "gauge!(", "histogram!("] {
                let calls = text.split(macro_name).skip(1).map(str::trim_start);
                let named = calls.filter_map(|call| call.strip_prefix('"')?.split('"').next());
                names.extend(named.map(str::to_owned));
            }
        }
    }
    names
}

//! The reference says what its sources say.

/// `./dev docs` writes what differs.
#[test]
fn the_reference_is_that_of_its_sources() {
    let root = book::root();
    let mut outdated = Vec::new();
    for (path, text) in book::reference::pages(&root).unwrap_or_else(|error| panic!("{error}")) {
        let there = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        if there != text {
            let first = there.lines().zip(text.lines()).find(|(there, here)| there != here);
            outdated.push(format!("{}: {first:?}", path.display()));
        }
    }
    assert!(outdated.is_empty(), "`./dev docs` writes these anew:\n{}", outdated.join("\n"));
}

//! The whole repository keeps the rules of [`tidy`].

#[test]
fn the_tree_keeps_every_rule() {
    let report = tidy::check(&tidy::root(), &[]).unwrap_or_else(|error| panic!("{error}"));
    let violations: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    println!("{:.2} banned words per 1,000 comment lines", report.words_per_thousand());
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
    assert!(
        report.words_per_thousand() < 0.5,
        "{:.2} words per 1,000 comment lines",
        report.words_per_thousand()
    );
}

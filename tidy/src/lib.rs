//! Checks that the repository is written in plain technical English, with standard names and short functions.
//!
//! | rule | what it requires |
//! |---|---|
//! | `word` | no word of the list in [`rules::words`] in comments, strings and documents |
//! | `identifier` | no such word in a Rust name, either |
//! | `log` | a log message has at least three words |
//! | `doc` | a doc comment is a sentence |
//! | `length` | a function has at most [`rules::functions::LINES_MAX`] lines |
//! | `function-name` | a public function has a name that says what it does |
//! | `file-name` | a file's name is a noun or a verb, not a participle |
//! | `path` | a path of this repository that a text mentions exists |
//! | `unrun` | a command in a document is run by a test, or it is evident why it cannot be |
//! | `allow` | each exception in `tidy/allow.toml` has a reason and is still needed |
//!
//! `cargo run -p tidy -- FOLDER…` prints the violations in these folders; `tests/tree.rs` checks the whole tree. Neither
//! needs a service.

pub mod allow;
pub mod lexer;
pub mod rules;
pub mod source;

use std::path::{Path, PathBuf};

use crate::allow::AllowList;
use crate::source::{Source, SourceError};

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, relative to the root of the repository.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The name of the rule that is broken.
    pub rule: &'static str,
    /// The offending text.
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.rule, self.text)
    }
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct Report {
    /// All violations that no exception covers, by path and line.
    pub violations: Vec<Violation>,
    /// The number of lines in Rust files that hold a comment.
    pub comment_lines: usize,
    /// The number of banned words in these comments, exceptions included.
    pub words_in_comments: usize,
}

impl Report {
    /// Returns the number of banned words per 1,000 comment lines.
    pub fn words_per_thousand(&self) -> f64 {
        match self.comment_lines {
            0 => 0.0,
            lines => self.words_in_comments as f64 * 1000.0 / lines as f64,
        }
    }
}

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// Checks the tracked files below `folders`; without any, all of them, and that every exception is needed.
pub fn check(root: &Path, folders: &[String]) -> Result<Report, SourceError> {
    let tracked = source::tracked_files(root)?;
    let allow = AllowList::read(&root.join(allow::FILE))?;
    let mut used = vec![false; allow.entries.len()];
    let mut report = Report::default();
    for path in tracked.iter().filter(|path| is_below(path, folders)) {
        let Some(source) = Source::read(root, path)? else { continue };
        report.comment_lines += source.comment_lines();
        report.words_in_comments += rules::words::in_comments(&source);
        for violation in rules::check(&source, &tracked) {
            match allow.covers(&violation) {
                Some(entry) => used[entry] = true,
                None => report.violations.push(violation),
            }
        }
    }
    if folders.is_empty() {
        report.violations.extend(allow.unused(&used));
    }
    report.violations.sort();
    report.violations.dedup();
    Ok(report)
}

fn is_below(path: &str, folders: &[String]) -> bool {
    let below = |folder: &String| {
        let folder = folder.trim_start_matches("./").trim_end_matches('/');
        folder == "." || path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    folders.is_empty() || folders.iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_printed_with_its_place_and_rule() {
        let violation = Violation { path: "a/b.rs".into(), line: 3, rule: "word", text: "told".into() };
        assert_eq!(violation.to_string(), "a/b.rs:3: word: told");
    }

    #[test]
    fn folders_select_what_lies_below_them() {
        let folders = ["./gateway/".to_owned()];
        assert!(is_below("gateway/src/run.rs", &folders));
        assert!(!is_below("gateways/run.rs", &folders));
        assert!(is_below("gateways/run.rs", &[]));
    }

    #[test]
    fn the_measure_is_per_thousand_comment_lines() {
        let report = Report { comment_lines: 500, words_in_comments: 1, ..Report::default() };
        assert_eq!(report.words_per_thousand(), 2.0);
    }
}

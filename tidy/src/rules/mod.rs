//! The rules, one file for each subject. A rule is a function from a file to its violations.

pub mod doc_comments;
pub mod documents;
pub mod functions;
pub mod log_messages;
pub mod names;
pub mod paths;
pub mod words;

use std::collections::BTreeSet;

use crate::Violation;
use crate::source::Source;

/// Checks one file by all rules. `tracked` holds the paths of all files of the repository.
pub fn check(source: &Source, tracked: &BTreeSet<String>) -> Vec<Violation> {
    let mut violations = Vec::new();
    violations.extend(words::check(source));
    violations.extend(names::check(source));
    violations.extend(log_messages::check(source));
    violations.extend(doc_comments::check(source));
    violations.extend(functions::check(source));
    violations.extend(paths::check(source, tracked));
    violations.extend(documents::check(source));
    violations
}

impl Source {
    fn violation(&self, line: usize, rule: &'static str, text: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, rule, text: text.into() }
    }
}

#[cfg(test)]
pub(crate) fn source(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}

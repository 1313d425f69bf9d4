//! Exceptions from the rules, each with the reason for it: `tidy/allow.toml`.

use std::path::Path;

use serde::Deserialize;

use crate::Violation;
use crate::source::SourceError;

/// The path of the list, relative to the root of the repository.
pub const FILE: &str = "tidy/allow.toml";

/// A list of exceptions.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowList {
    /// The exceptions, in the order of the file.
    #[serde(default, rename = "allow")]
    pub entries: Vec<Entry>,
}

/// An exception from a rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A file, or a folder if it ends in `/`.
    pub path: String,
    /// The rule that does not apply.
    pub rule: String,
    /// A part of the violation's text; without it, every violation of the rule is allowed there.
    pub text: Option<String>,
    /// The reason for the exception.
    pub reason: String,
}

impl AllowList {
    /// Reads the list.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SourceError::File { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| SourceError::Allow { path: path.to_owned(), source })
    }

    /// Returns the position of the exception that covers this violation.
    pub fn covers(&self, violation: &Violation) -> Option<usize> {
        self.entries.iter().position(|entry| {
            let is_there = match entry.path.ends_with('/') {
                true => violation.path.starts_with(&entry.path),
                false => violation.path == entry.path,
            };
            let says_it = entry.text.as_ref().is_none_or(|text| violation.text.contains(text));
            is_there && says_it && entry.rule == violation.rule && entry.has_reason()
        })
    }

    /// Returns a violation for each exception that has no reason or covers nothing.
    pub fn unused(&self, used: &[bool]) -> Vec<Violation> {
        let faults = self.entries.iter().zip(used).filter_map(|(entry, used)| {
            let fault = match (entry.has_reason(), used) {
                (true, true) => return None,
                (false, _) => "an exception needs a reason of at least three words",
                (true, false) => "this exception is not needed any more",
            };
            Some(format!("{} ({}): {fault}", entry.path, entry.rule))
        });
        faults.map(|text| Violation { path: FILE.to_owned(), line: 1, rule: "allow", text }).collect()
    }
}

impl Entry {
    fn has_reason(&self) -> bool {
        self.reason.split_whitespace().count() >= 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(reason: &str) -> AllowList {
        let text =
            format!("[[allow]]\npath = \"a/\"\nrule = \"word\"\ntext = \"told\"\nreason = \"{reason}\"\n");
        toml::from_str(&text).expect("a list")
    }

    fn violation(path: &str, rule: &'static str, text: &str) -> Violation {
        Violation { path: path.into(), line: 1, rule, text: text.into() }
    }

    #[test]
    fn an_exception_covers_its_folder_rule_and_text() {
        let list = list("a name of the protocol");
        assert_eq!(list.covers(&violation("a/b.rs", "word", "told: it was told")), Some(0));
        assert_eq!(list.covers(&violation("ab.rs", "word", "told")), None);
        assert_eq!(list.covers(&violation("a/b.rs", "log", "told")), None);
        assert_eq!(list.covers(&violation("a/b.rs", "word", "heard")), None);
    }

    #[test]
    fn an_exception_without_a_reason_or_a_use_is_a_violation() {
        let without = list("because");
        assert_eq!(without.covers(&violation("a/b.rs", "word", "told")), None);
        assert_eq!(without.unused(&[true]).len(), 1);
        assert_eq!(list("a name of the protocol").unused(&[false]).len(), 1);
        assert!(list("a name of the protocol").unused(&[true]).is_empty());
    }
}

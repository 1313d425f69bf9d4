//! The finding of a check of one invariant.

use std::fmt;

use serde::Serialize;

/// The number of examples kept of a violation; the count includes the others.
const EXAMPLES_MAX: usize = 5;

/// The verdict on one invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The invariant holds.
    Ok,
    /// The invariant is violated.
    Violated,
    /// The invariant could not be checked.
    Unchecked,
    /// The invariant's subject does not exist in this sale.
    NotApplicable,
}

/// A line of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The invariant's number in ARCHITECTURE.md.
    pub invariant: u8,
    /// The invariant in words.
    pub title: &'static str,
    /// The verdict on the invariant.
    pub verdict: Verdict,
    /// What was checked: names and numbers.
    pub counts: Vec<(&'static str, u64)>,
    /// The number of violations.
    pub violations: u64,
    /// The first violations.
    pub examples: Vec<String>,
    /// Notes for the reader.
    pub notes: Vec<String>,
}

/// Collects a finding; the invariant holds until a violation is added.
#[derive(Debug)]
pub struct FindingBuilder(Finding);

impl FindingBuilder {
    /// Creates the finding of an invariant.
    pub fn new(invariant: u8, title: &'static str) -> Self {
        Self(Finding {
            invariant,
            title,
            verdict: Verdict::Ok,
            counts: Vec::new(),
            violations: 0,
            examples: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Adds a number of checked objects.
    pub fn count(&mut self, what: &'static str, n: usize) {
        self.0.counts.push((what, n as u64));
    }

    /// Adds a violation unless the condition holds.
    pub fn expect(&mut self, holds: bool, example: impl FnOnce() -> String) {
        if !holds {
            self.add_violation(example());
        }
    }

    /// Adds a violation unless the invariant holds. Returns whether it holds.
    pub fn require(&mut self, subject: impl fmt::Display, check: invariants::Check) -> bool {
        if let Err(violation) = &check {
            self.add_violation(format!("{subject}: {}", violation.detail));
        }
        check.is_ok()
    }

    /// Adds a violation.
    pub fn add_violation(&mut self, example: String) {
        self.0.violations += 1;
        self.0.verdict = Verdict::Violated;
        if self.0.examples.len() < EXAMPLES_MAX {
            self.0.examples.push(example);
        }
    }

    /// Adds a note.
    pub fn add_note(&mut self, note: String) {
        self.0.notes.push(note);
    }

    /// Marks the invariant as not completely checked. A violation that was found elsewhere remains one.
    pub fn mark_unchecked(&mut self, why: String) {
        if self.0.verdict == Verdict::Ok {
            self.0.verdict = Verdict::Unchecked;
        }
        self.0.notes.push(why);
    }

    /// Returns the finding of an invariant whose subject does not exist.
    pub fn not_applicable(mut self, why: &str) -> Finding {
        self.0.verdict = Verdict::NotApplicable;
        self.0.notes.push(why.to_owned());
        self.0
    }

    /// Returns the finding.
    pub fn finish(self) -> Finding {
        self.0
    }
}

//! What a check of one invariant says.

use serde::Serialize;

/// Examples kept of a violation; the count tells how many there were.
const EXAMPLES_MAX: usize = 5;

/// The verdict on one invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Ok,
    /// It does not.
    Violated,
    /// Nobody could tell.
    Unchecked,
    /// Nothing of what it speaks of exists yet.
    NotApplicable,
}

/// One line of a check's report.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The invariant's number in ARCHITECTURE.md.
    pub invariant: u8,
    /// What must hold.
    pub title: &'static str,
    /// Whether it does.
    pub verdict: Verdict,
    /// What was looked at.
    pub counts: Vec<(&'static str, u64)>,
    /// How many violations were found.
    pub violations: u64,
    /// The first of them.
    pub examples: Vec<String>,
    /// What else a reader must know.
    pub notes: Vec<String>,
}

/// A finding in the making: holds until something is found.
#[derive(Debug)]
pub struct Probe(Finding);

impl Probe {
    /// Of one invariant.
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
    /// Tells what was looked at.
    pub fn count(&mut self, what: &'static str, n: usize) {
        self.0.counts.push((what, n as u64));
    }
    /// Notes a violation unless the condition holds.
    pub fn expect(&mut self, holds: bool, example: impl FnOnce() -> String) {
        if !holds {
            self.violate(example());
        }
    }
    /// Notes a violation.
    pub fn violate(&mut self, example: String) {
        self.0.violations += 1;
        self.0.verdict = Verdict::Violated;
        if self.0.examples.len() < EXAMPLES_MAX {
            self.0.examples.push(example);
        }
    }
    /// Tells something beside the verdict.
    pub fn note(&mut self, note: String) {
        self.0.notes.push(note);
    }
    /// A part could not be judged. A violation found elsewhere stays one.
    pub fn unchecked(&mut self, why: String) {
        if self.0.verdict == Verdict::Ok {
            self.0.verdict = Verdict::Unchecked;
        }
        self.0.notes.push(why);
    }
    /// The whole of it does not exist yet.
    pub fn not_applicable(mut self, why: &str) -> Finding {
        self.0.verdict = Verdict::NotApplicable;
        self.0.notes.push(why.to_owned());
        self.0
    }
    /// The finding.
    pub fn finish(self) -> Finding {
        self.0
    }
}

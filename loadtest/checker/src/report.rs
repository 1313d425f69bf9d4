//! The report of a check: text for people, JSON for programs, and the exit code.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::finding::{Finding, Verdict};
use terminal::{Style, styled, thousands};

/// The outcome of a check of all invariants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every applicable invariant was checked and holds.
    Holds,
    /// The report has at least one violated invariant.
    Violated,
    /// No invariant is violated, and at least one could not be checked.
    CouldNotCheck,
}

impl Outcome {
    /// Returns the outcome of these findings.
    pub fn from_findings(findings: &[Finding]) -> Self {
        let any = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
        if any(Verdict::Violated) {
            Self::Violated
        } else if any(Verdict::Unchecked) {
            Self::CouldNotCheck
        } else {
            Self::Holds
        }
    }

    /// Returns the exit code: 0, 1 or 2.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Holds => 0,
            Self::Violated => 1,
            Self::CouldNotCheck => 2,
        })
    }
}

/// Returns one line for each invariant, followed by its examples and notes.
pub fn lines(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Ok => styled(Style::Good, "OK       "),
            Verdict::Violated => styled(Style::Bad, "VIOLATED "),
            Verdict::Unchecked => styled(Style::Bad, "UNCHECKED"),
            Verdict::NotApplicable => styled(Style::Dim, "–        "),
        };
        let counts: Vec<_> =
            finding.counts.iter().map(|(what, n)| format!("{} {what}", thousands(*n))).collect();
        let counts = styled(Style::Dim, &counts.join(", "));
        text.push_str(
            format!("  {:>2}  {verdict}  {}  {counts}", finding.invariant, finding.title).trim_end(),
        );
        text.push('\n');
        if finding.violations > 0 {
            text.push_str(&format!("      {} violations, for example\n", thousands(finding.violations)));
        }
        for example in &finding.examples {
            text.push_str(&format!("      {} {example}\n", styled(Style::Bad, "✗")));
        }
        for note in &finding.notes {
            text.push_str(&format!("      {}\n", styled(Style::Dim, note)));
        }
    }
    text
}

#[derive(Serialize)]
struct Document<'a> {
    sale_id: &'a str,
    outcome: Outcome,
    findings: &'a [Finding],
}

/// Writes the findings as JSON.
pub fn write_json(path: &Path, sale: &str, findings: &[Finding]) -> io::Result<()> {
    let document = Document { sale_id: sale, outcome: Outcome::from_findings(findings), findings };
    std::fs::write(path, serde_json::to_vec_pretty(&document)?)
}

#[cfg(test)]
mod tests {
    use super::super::finding::FindingBuilder;
    use super::*;

    #[test]
    fn the_worst_finding_decides_the_outcome() {
        let ok = FindingBuilder::new(1, "a").finish();
        let mut unchecked = FindingBuilder::new(2, "b");
        unchecked.mark_unchecked("down".into());
        let unchecked = unchecked.finish();
        let mut violated = FindingBuilder::new(3, "c");
        violated.add_violation("found".into());
        violated.mark_unchecked("and more".into());
        let violated = violated.finish();
        let none = FindingBuilder::new(4, "d").not_applicable("not yet");
        assert_eq!(Outcome::from_findings(&[ok.clone(), none.clone()]), Outcome::Holds);
        assert_eq!(Outcome::from_findings(&[ok.clone(), unchecked.clone()]), Outcome::CouldNotCheck);
        assert_eq!(Outcome::from_findings(&[unchecked, violated.clone(), none]), Outcome::Violated);
        let text = lines(&[ok, violated]);
        assert!(text.contains("OK") && text.contains("VIOLATED") && text.contains("found"), "{text}");
    }
}

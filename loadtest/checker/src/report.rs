//! A check's lines for people, its JSON for programs, and its exit code.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::finding::{Finding, Verdict};
use terminal::{Style, styled, thousands};

/// What a whole check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every invariant that could be judged holds, and all could be.
    Holds,
    /// At least one is violated.
    Violated,
    /// None is violated, and some could not be judged.
    CouldNotCheck,
}

impl Outcome {
    /// Of some findings.
    pub fn of(findings: &[Finding]) -> Self {
        let any = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
        if any(Verdict::Violated) {
            Self::Violated
        } else if any(Verdict::Unchecked) {
            Self::CouldNotCheck
        } else {
            Self::Holds
        }
    }
    /// 0, 1 or 2.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Holds => 0,
            Self::Violated => 1,
            Self::CouldNotCheck => 2,
        })
    }
}

/// One line an invariant, with examples and notes below it.
pub fn lines(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.verdict {
            Verdict::Ok => styled(Style::Good, "OK       "),
            Verdict::Violated => styled(Style::Bad, "VIOLATED "),
            Verdict::Unchecked => styled(Style::Bad, "UNCHECKED"),
            Verdict::NotApplicable => styled(Style::Dim, "–        "),
        };
        let counts: Vec<_> =
            finding.counts.iter().map(|(what, n)| format!("{} {what}", thousands(*n))).collect();
        let counts = styled(Style::Dim, &counts.join(", "));
        text.push_str(format!("  {:>2}  {word}  {}  {counts}", finding.invariant, finding.title).trim_end());
        text.push('\n');
        if finding.violations > 0 {
            text.push_str(&format!("      {} violations, such as\n", thousands(finding.violations)));
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

/// Writes the findings for programs.
pub fn write_json(path: &Path, sale: &str, findings: &[Finding]) -> io::Result<()> {
    let document = Document { sale_id: sale, outcome: Outcome::of(findings), findings };
    std::fs::write(path, serde_json::to_vec_pretty(&document)?)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Probe;
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let ok = Probe::new(1, "a").finish();
        let mut unchecked = Probe::new(2, "b");
        unchecked.unchecked("away".into());
        let unchecked = unchecked.finish();
        let mut violated = Probe::new(3, "c");
        violated.violate("seen".into());
        violated.unchecked("and more".into());
        let violated = violated.finish();
        let none = Probe::new(4, "d").not_applicable("not yet");
        assert_eq!(Outcome::of(&[ok.clone(), none.clone()]), Outcome::Holds);
        assert_eq!(Outcome::of(&[ok.clone(), unchecked.clone()]), Outcome::CouldNotCheck);
        assert_eq!(Outcome::of(&[unchecked, violated.clone(), none]), Outcome::Violated);
        let text = lines(&[ok, violated]);
        assert!(text.contains("OK") && text.contains("VIOLATED") && text.contains("seen"), "{text}");
    }
}

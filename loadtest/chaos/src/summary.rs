//! The results of all runs in one table.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::run::RunResult;
use checker::finding::{Finding, Verdict};
use checker::report;
use terminal::{Style, Table, heading, styled, thousands};

/// The number of violations by their meaning for the seller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // every field has a comment with its invariants
pub struct Harm {
    /// An acknowledged order is missing (invariant 2), or a customer got no message about an order.
    pub lost: u64,
    /// More units were sold than existed (1).
    pub oversold: u64,
    /// An order, or a customer's right to one, exists more than once (3, 4), or a message was duplicated.
    pub doubled: u64,
    /// Money was captured, kept or not captured wrongly (9).
    pub mischarged: u64,
    /// Units are lost or counted twice (5).
    pub leaked: u64,
    /// Units are left over although demand exceeded supply (6).
    pub undersold: u64,
    /// The order of admission, the events, or the position is wrong (7, 8, 10).
    pub other: u64,
}

impl Harm {
    fn from_findings(findings: &[Finding]) -> Self {
        let mut harm = Self::default();
        for finding in findings {
            let count = match finding.invariant {
                1 => &mut harm.oversold,
                2 => &mut harm.lost,
                3 | 4 => &mut harm.doubled,
                5 => &mut harm.leaked,
                6 => &mut harm.undersold,
                9 => &mut harm.mischarged,
                _ => &mut harm.other,
            };
            *count += finding.violations;
        }
        harm
    }
}

/// The row of one run.
#[derive(Debug, Serialize)]
pub struct Row {
    scenario: &'static str,
    seed: u64,
    took_ms: u64,
    offered: u64,
    accepted: u64,
    settled: u64,
    #[serde(flatten)]
    harm: Harm,
    recovered_ms: Option<u64>,
    /// A summary of the consumer checks.
    consumers: String,
    /// Why there is no verdict, or an incomplete one.
    trouble: Option<String>,
    findings: Vec<Finding>,
}

impl Row {
    /// Creates the row of a run, which may have failed.
    pub fn new(scenario: &'static str, seed: u64, took: Duration, result: anyhow::Result<RunResult>) -> Self {
        let took_ms = took.as_millis() as u64;
        let row = Self {
            scenario,
            seed,
            took_ms,
            offered: 0,
            accepted: 0,
            settled: 0,
            harm: Harm::default(),
            recovered_ms: None,
            consumers: String::new(),
            trouble: None,
            findings: Vec::new(),
        };
        match result {
            Err(error) => Self { trouble: Some(format!("{error:#}")), ..row },
            Ok(result) => row.with_result(result),
        }
    }

    fn with_result(self, result: RunResult) -> Self {
        let unchecked = result.findings.iter().filter(|finding| finding.verdict == Verdict::Unchecked);
        let mut problems: Vec<_> = unchecked
            .map(|f| format!("{} could not be checked: {}", f.invariant, f.notes.join("; ")))
            .collect();
        let checks = result.consumer_checks.unwrap_or_default();
        let mut harm = Harm::from_findings(&result.findings);
        harm.lost += checks.lost;
        harm.doubled += checks.duplicated;
        problems.extend(checks.problems);
        let recovered_ms = match result.recovered {
            Ok(recovered) => Some(recovered.as_millis() as u64),
            Err(error) => {
                problems.push(format!("{error:#}"));
                None
            }
        };
        Self {
            offered: result.offered,
            accepted: result.accepted,
            settled: result.settled,
            harm,
            consumers: checks.summary,
            recovered_ms,
            trouble: (!problems.is_empty()).then(|| problems.join("; ")),
            findings: result.findings,
            ..self
        }
    }

    /// Returns whether everything was checked and no violation was found.
    pub fn holds(&self) -> bool {
        self.trouble.is_none() && self.findings.iter().all(|finding| finding.violations == 0)
    }

    /// Returns the numbers of the violated invariants.
    pub fn violated(&self) -> Vec<u8> {
        let violated = self.findings.iter().filter(|finding| finding.verdict == Verdict::Violated);
        violated.map(|finding| finding.invariant).collect()
    }

    /// Returns the line of the run, followed by its problems and violations.
    pub fn line(&self) -> String {
        let verdict = if self.holds() { styled(Style::Good, "ok    ") } else { styled(Style::Bad, "FAILED") };
        let mut line = format!(
            "  {verdict}  {:<34} seed {:<4} {:>5.1} s   {} of {} orders accepted and settled, recovered after {}{}{}\n",
            self.scenario,
            self.seed,
            self.took_ms as f64 / 1000.0,
            thousands(self.accepted),
            thousands(self.settled),
            seconds(self.recovered_ms),
            if self.consumers.is_empty() { "" } else { "; " },
            self.consumers
        );
        if let Some(trouble) = &self.trouble {
            line.push_str(&format!("      {}\n", styled(Style::Bad, trouble)));
        }
        if !self.holds() {
            let violated: Vec<_> = self
                .findings
                .iter()
                .filter(|finding| finding.verdict == Verdict::Violated)
                .cloned()
                .collect();
            line.push_str(&report::lines(&violated));
        }
        line
    }
}

fn seconds(ms: Option<u64>) -> String {
    ms.map_or_else(|| "–".to_owned(), |ms| format!("{:.1}", ms as f64 / 1000.0))
}

/// The results of all runs.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    runs: Vec<Row>,
}

impl Summary {
    /// Adds a run.
    pub fn add(&mut self, row: Row) {
        self.runs.push(row);
    }

    /// Returns whether every run was without violations and problems.
    pub fn holds(&self) -> bool {
        self.runs.iter().all(Row::holds)
    }

    /// Returns a table with one line for each scenario: the sums of its seeds and the slowest recovery.
    pub fn table(&self) -> String {
        let mut table = Table::new(&[
            "scenario",
            "seeds",
            "failed",
            "offered",
            "202s",
            "settled",
            "lost",
            "oversold",
            "doubled",
            "mischarged",
            "leaked",
            "undersold",
            "other",
            "recovery s",
        ]);
        let mut names: Vec<&str> = Vec::new();
        for row in &self.runs {
            if !names.contains(&row.scenario) {
                names.push(row.scenario);
            }
        }
        for name in &names {
            let rows: Vec<&Row> = self.runs.iter().filter(|row| row.scenario == *name).collect();
            let sum = |count: fn(&Row) -> u64| thousands(rows.iter().map(|row| count(row)).sum());
            table.row([
                (*name).to_owned(),
                rows.len().to_string(),
                rows.iter().filter(|row| !row.holds()).count().to_string(),
                sum(|row| row.offered),
                sum(|row| row.accepted),
                sum(|row| row.settled),
                sum(|row| row.harm.lost),
                sum(|row| row.harm.oversold),
                sum(|row| row.harm.doubled),
                sum(|row| row.harm.mischarged),
                sum(|row| row.harm.leaked),
                sum(|row| row.harm.undersold),
                sum(|row| row.harm.other),
                seconds(rows.iter().filter_map(|row| row.recovered_ms).max()),
            ]);
        }
        let took: u64 = self.runs.iter().map(|row| row.took_ms).sum();
        let failed = self.runs.iter().filter(|row| !row.holds()).count();
        format!(
            "\n{}\n{table}\n  {} runs in {} s, {failed} failed\n",
            heading("Results by scenario"),
            self.runs.len(),
            took / 1000
        )
    }

    /// Writes the results as JSON.
    pub fn write_json(&self, file: &Path) -> std::io::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, serde_json::to_vec_pretty(self)?)
    }
}

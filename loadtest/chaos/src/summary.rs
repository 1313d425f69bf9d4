//! What all runs found, in one table.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::run::Ran;
use checker::finding::{Finding, Verdict};
use checker::report;
use terminal::{Style, Table, heading, styled, thousands};

/// Violations by what they mean to those who sell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the columns
pub struct Harm {
    /// Somebody was told of an order that is not there (invariant 2), or never of what became of theirs.
    pub lost: u64,
    /// More was sold than there was (1).
    pub oversold: u64,
    /// An order, or a customer's right to one, stands more often than once (3, 4), or a message came again.
    pub doubled: u64,
    /// Money was taken or kept that should not be, or not taken (9).
    pub mischarged: u64,
    /// Units are nowhere, or twice (5).
    pub leaked: u64,
    /// Units are left over although more was asked for (6).
    pub undersold: u64,
    /// Order of admission, events, position (7, 8, 10).
    pub other: u64,
}

impl Harm {
    fn of(findings: &[Finding]) -> Self {
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

/// One run.
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
    /// What followed the events.
    told: String,
    /// Why there is no verdict, or an incomplete one.
    trouble: Option<String>,
    findings: Vec<Finding>,
}

impl Row {
    /// Of a run, which may have failed.
    pub fn new(scenario: &'static str, seed: u64, took: Duration, ran: anyhow::Result<Ran>) -> Self {
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
            told: String::new(),
            trouble: None,
            findings: Vec::new(),
        };
        match ran {
            Err(error) => Self { trouble: Some(format!("{error:#}")), ..row },
            Ok(ran) => {
                let unchecked = ran.findings.iter().filter(|finding| finding.verdict == Verdict::Unchecked);
                let mut troubles: Vec<_> = unchecked
                    .map(|f| format!("{} could not be checked: {}", f.invariant, f.notes.join("; ")))
                    .collect();
                let aftermath = ran.aftermath.unwrap_or_default();
                let mut harm = Harm::of(&ran.findings);
                harm.lost += aftermath.lost;
                harm.doubled += aftermath.doubled;
                troubles.extend(aftermath.complaints);
                let recovered_ms = match ran.recovered {
                    Ok(recovered) => Some(recovered.as_millis() as u64),
                    Err(error) => {
                        troubles.push(format!("{error:#}"));
                        None
                    }
                };
                Self {
                    offered: ran.offered,
                    accepted: ran.accepted,
                    settled: ran.settled,
                    harm,
                    told: aftermath.told,
                    recovered_ms,
                    trouble: (!troubles.is_empty()).then(|| troubles.join("; ")),
                    findings: ran.findings,
                    ..row
                }
            }
        }
    }

    /// Nothing was found, and everything was looked at.
    pub fn holds(&self) -> bool {
        self.trouble.is_none() && self.findings.iter().all(|finding| finding.violations == 0)
    }

    /// The numbers of the invariants that were found violated.
    pub fn violated(&self) -> Vec<u8> {
        let violated = self.findings.iter().filter(|finding| finding.verdict == Verdict::Violated);
        violated.map(|finding| finding.invariant).collect()
    }

    /// Why there is no verdict.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// One line as soon as it is over; with what was found, if anything was.
    pub fn line(&self) -> String {
        let word = if self.holds() { styled(Style::Good, "ok    ") } else { styled(Style::Bad, "FAILED") };
        let mut line = format!(
            "  {word}  {:<34} seed {:<4} {:>5.1} s   {} of {} orders told of and settled, back after {}{}{}\n",
            self.scenario,
            self.seed,
            self.took_ms as f64 / 1000.0,
            thousands(self.accepted),
            thousands(self.settled),
            seconds(self.recovered_ms),
            if self.told.is_empty() { "" } else { "; " },
            self.told
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

/// All runs.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    runs: Vec<Row>,
}

impl Summary {
    /// One more.
    pub fn add(&mut self, row: Row) {
        self.runs.push(row);
    }

    /// Nothing was found anywhere.
    pub fn holds(&self) -> bool {
        self.runs.iter().all(Row::holds)
    }

    /// A line for each scenario, its seeds added up; the slowest recovery of them.
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
            heading("What broke, and what became of the orders"),
            self.runs.len(),
            took / 1000
        )
    }

    /// For programs.
    pub fn write_json(&self, file: &Path) -> std::io::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, serde_json::to_vec_pretty(self)?)
    }
}

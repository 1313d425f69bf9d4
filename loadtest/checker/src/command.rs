//! The arguments of the checker, and the whole check from them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use contract::ids::SaleId;

use super::evidence::Expectations;
use super::report::{self, Outcome};
use crate::settings::Services;
use customers::settings::parse_duration;

/// The sale and the journals to check.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Id of the sale.
    #[arg(long, value_name = "SALE")]
    pub sale: SaleId,
    /// Journals of the clients, as the load commands and the demonstration write them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub journal: Vec<PathBuf>,
    /// Declare the journals complete: an order without a request in them is then a violation.
    #[arg(long)]
    pub journal_complete: bool,
    /// Declare that demand exceeded supply: a limited item with units left is then a violation.
    #[arg(long)]
    pub expect_sold_out: bool,
    /// Longest wait until the sale is quiescent.
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub wait: Duration,
    /// Write the findings as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Addresses of the services.
    #[command(flatten)]
    pub services: Services,
}

/// Gathers the evidence, evaluates every invariant, prints the findings and returns the exit code.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let sale = &arguments.sale;
    let mut journal = Vec::new();
    for file in &arguments.journal {
        journal.extend(customers::journal::read(file, sale.as_str())?);
    }
    let expectations =
        Expectations { journal_complete: arguments.journal_complete, sold_out: arguments.expect_sold_out };
    let evidence = crate::gather(&arguments.services, sale, journal, expectations, arguments.wait).await?;
    let findings = crate::evaluate(&evidence);
    print!("{}", report::lines(&findings));
    if let Some(file) = &arguments.json {
        report::write_json(file, sale.as_str(), &findings)?;
    }
    Ok(Outcome::from_findings(&findings).exit_code())
}

//! `loadtest check`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use contract::ids::SaleId;

use super::evidence::Expectations;
use super::report::{self, Outcome};
use customers::settings::{Services, parse_duration};

/// What to check, against which journals.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sale.
    #[arg(long, value_name = "SALE")]
    pub sale: SaleId,
    /// Journals of the clients, as rush, surge and demo write them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub journal: Vec<PathBuf>,
    /// The journals hold every request ever sent to this sale: an order without one is a violation.
    #[arg(long)]
    pub journal_complete: bool,
    /// More was asked for than there was: a limited item with units left over is a violation.
    #[arg(long)]
    pub expect_sold_out: bool,
    /// Longest wait until the sale is at rest.
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub wait: Duration,
    /// Write the findings as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the services are.
    #[command(flatten)]
    pub services: Services,
}

/// Gathers, judges, prints.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let sale = &arguments.sale;
    let mut journal = Vec::new();
    for file in &arguments.journal {
        journal.extend(customers::journal::read(file, sale.as_str())?);
    }
    let expectations =
        Expectations { journal_complete: arguments.journal_complete, sold_out: arguments.expect_sold_out };
    let evidence = super::gather(&arguments.services, sale, journal, expectations, arguments.wait).await?;
    let findings = super::judge(&evidence);
    print!("{}", report::lines(&findings));
    if let Some(file) = &arguments.json {
        report::write_json(file, sale.as_str(), &findings)?;
    }
    Ok(Outcome::of(&findings).exit_code())
}

//! `flashsale`, the operators' command line. It uses a gateway's admin listener only.
//!
//! | module | contents |
//! |---|---|
//! | [`arguments`] | commands, options and their help |
//! | [`api`] | calls of the admin API: timeouts, retries, refusals |
//! | [`definition`] | definition files: parsed, validated, with the position of each fault |
//! | [`sale`] | define, list, show, open, pause, resume, close, rebuild, report |
//! | [`status`] | readiness of the gateway, and the state of all sales |
//! | [`inventory`], [`orders`], [`dead_letters`], [`wallet`] | stock, orders and deliveries, dead letters, balances |
//! | [`overview`], [`watch`] | a snapshot of the system; the live view |
//! | [`export`] | export of settled orders to a file |
//! | [`failure`], [`output`] | how a command fails, and what it prints |

mod api;
mod arguments;
mod confirm;
mod dead_letters;
mod definition;
mod export;
mod failure;
mod inventory;
mod orders;
mod output;
mod overview;
mod sale;
mod status;
mod wallet;
mod watch;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::api::Api;
use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::output::OutputFormat;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return report_usage(&error),
    };
    let json = arguments.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            failure.exit_code()
        }
    }
}

/// Prints help or the version, or reports wrong usage: as JSON if that was requested.
fn report_usage(error: &clap::Error) -> ExitCode {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_help || !std::env::args_os().any(|argument| argument == "--json") {
        error.exit();
    }
    let text = error.render().to_string();
    let failure = Failure::Usage(text.trim_start_matches("error: ").trim().to_owned());
    failure.print(true);
    failure.exit_code()
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let output = if arguments.json { OutputFormat::Json } else { OutputFormat::Text };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Output)?;
    let api = || Api::new(&arguments.server);
    runtime.block_on(async {
        match arguments.command {
            Command::Sale(command) => sale::run(command, &api()?, output).await,
            Command::Status => status::show(&api()?, output).await,
            Command::Inventory { sale, sync, yes } => {
                inventory::show(&api()?, output, &sale, sync, yes).await
            }
            Command::Orders(command) => orders::run(command, &api()?, output).await,
            Command::DeadLetters(command) => dead_letters::run(command, &api()?, output).await,
            Command::Wallet(command) => wallet::run(command, &api()?, output).await,
            Command::Watch { sale, limit } => watch::run(&api()?, output, sale, limit).await,
            Command::Export(export) => export::run(&api()?, output, &export).await,
            Command::Completions { shell } => {
                let mut script = vec![];
                clap_complete::generate(shell, &mut Arguments::command(), "flashsale", &mut script);
                output::write_bytes(&script).map(drop)
            }
        }
    })
}

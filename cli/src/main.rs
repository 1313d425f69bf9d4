//! `flashsale`: what operators do with a sale, from a command line. It speaks to a gateway's admin listener only.
//!
//! | module | what it is |
//! |---|---|
//! | [`arguments`] | commands and options, and their help |
//! | [`api`] | calls of the admin API: limits, repetitions, refusals |
//! | [`definition`] | a sale in a file: read, checked, its faults shown where they are |
//! | [`sale`] | define, list, show, open, pause, resume, close, rebuild, report |
//! | [`status`] | whether everything is there |
//! | [`inventory`], [`orders`], [`dead_letters`], [`wallet`] | stock, orders and their goods, what could not be applied, balances |
//! | [`overview`], [`watch`] | one look at everything; the sale as it goes |
//! | [`export`] | settled orders as a file |
//! | [`failure`], [`output`] | how a command ends, and what it says |

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
use crate::output::Reader;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let json = arguments.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json);
            failure.exit_code()
        }
    }
}

/// Help and version are answers; anything else is a failure as all are, for programs, too.
fn misused(error: &clap::Error) -> ExitCode {
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_answer || !std::env::args_os().any(|argument| argument == "--json") {
        error.exit();
    }
    let text = error.render().to_string();
    let failure = Failure::Usage(text.trim_start_matches("error: ").trim().to_owned());
    failure.tell(true);
    failure.exit_code()
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let reader = if arguments.json { Reader::Program } else { Reader::Person };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Output)?;
    let api = || Api::new(&arguments.server);
    runtime.block_on(async {
        match arguments.command {
            Command::Sale(command) => sale::run(command, &api()?, reader).await,
            Command::Status => status::show(&api()?, reader).await,
            Command::Inventory { sale, sync, yes } => {
                inventory::show(&api()?, reader, &sale, sync, yes).await
            }
            Command::Orders(command) => orders::run(command, &api()?, reader).await,
            Command::DeadLetters(command) => dead_letters::run(command, &api()?, reader).await,
            Command::Wallet(command) => wallet::run(command, &api()?, reader).await,
            Command::Watch { sale, limit } => watch::run(&api()?, reader, sale, limit).await,
            Command::Export(export) => export::run(&api()?, reader, &export).await,
            Command::Completions { shell } => {
                let mut script = vec![];
                clap_complete::generate(shell, &mut Arguments::command(), "flashsale", &mut script);
                output::goes_on(&script).map(drop)
            }
        }
    })
}

//! The subcommands, and the runtime that each of them runs on.

use std::process::ExitCode;

use clap::Subcommand;
use tokio::runtime::{Builder, Runtime};

use crate::check;

/// What `loadtest` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare what clients were told with Postgres, Redis and the log, invariant by invariant.
    ///
    /// Waits until the sale is at rest, then prints one line per invariant of the design. Exit code 0:
    /// all hold; 1: one is violated; 2: something could not be checked.
    Check(check::command::Arguments),
}

impl Command {
    /// Runs to the end.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(arguments) => lean()?.block_on(check::command::run(&arguments)),
        }
    }
}

/// One thread: generators share the machine with the servers, and one thread wastes nothing on waking
/// another.
fn lean() -> anyhow::Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

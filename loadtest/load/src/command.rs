//! The subcommands and the runtime that each of them runs on.

use std::process::ExitCode;

use clap::Subcommand;
use tokio::runtime::{Builder, Runtime};

use crate::{baseline, bench, closed_loop, lifecycle, open_loop, streams};

/// The subcommands of `load`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Closed loop: goose users view the sale, order, retry with the same key, and wait until the order is
    /// settled.
    ///
    /// Writes goose's HTML report and a journal for `check`.
    #[command(visible_alias = "rush")]
    ClosedLoop(closed_loop::Arguments),
    /// Goose users with the whole lifecycle of an order: pay by card or wallet, follow the live updates,
    /// cancel, request a refund, or let the order expire.
    ///
    /// Writes goose's HTML report and a journal for `check`.
    Lifecycle(lifecycle::Arguments),
    /// Open loop: orders at a fixed rate of arrivals, with latencies from the scheduled time of sending.
    ///
    /// Prints percentiles, and writes an HTML report with plots and a journal for `check`.
    #[command(visible_alias = "surge")]
    OpenLoop(open_loop::Arguments),
    /// Many customers follow their orders at one gateway: memory per stream, and the delay of updates.
    ///
    /// Exit code 1: a customer did not receive an update of their order.
    Streams(streams::Arguments),
    /// Accepted orders per second beside baselines, in one run.
    ///
    /// Needs the machine for itself. Exit code 1: a target was missed.
    Bench(bench::Arguments),
    /// A server that responds to every order with the same 202: baseline A of `bench`.
    #[command(alias = "floor")]
    Baseline(baseline::Arguments),
    /// Compare the clients' journals with Postgres, Redis and the log, invariant by invariant.
    ///
    /// Waits until the sale is quiescent, then prints one line for each invariant of ARCHITECTURE.md. Exit
    /// code 0: all invariants hold; 1: one is violated; 2: something could not be checked.
    Check(checker::command::Arguments),
}

impl Command {
    /// Runs the subcommand and returns its exit code.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::ClosedLoop(arguments) => multi_threaded()?.block_on(closed_loop::run(&arguments)),
            Self::Lifecycle(arguments) => multi_threaded()?.block_on(lifecycle::run(&arguments)),
            Self::OpenLoop(arguments) => single_threaded()?.block_on(open_loop::run(&arguments)),
            Self::Streams(arguments) => single_threaded()?.block_on(streams::run(&arguments)),
            Self::Bench(arguments) => single_threaded()?.block_on(bench::run(&arguments)),
            Self::Baseline(arguments) => multi_threaded()?.block_on(baseline::run(&arguments)),
            Self::Check(arguments) => single_threaded()?.block_on(checker::command::run(&arguments)),
        }
    }
}

/// Creates a runtime with one thread: generators share the machine with the servers, and a single thread spends no
/// time on waking others.
fn single_threaded() -> anyhow::Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Creates a runtime with as many threads as cores, like the gateway.
fn multi_threaded() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Command;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn the_former_names_are_aliases() {
        let command = |name: &str| Arguments::try_parse_from(["load", name]).unwrap().command;
        assert!(matches!(command("rush"), Command::ClosedLoop(_)));
        assert!(matches!(command("surge"), Command::OpenLoop(_)));
        assert!(matches!(command("floor"), Command::Baseline(_)));
    }
}

//! The subcommands, and the runtime that each of them runs on.

use std::process::ExitCode;

use clap::Subcommand;
use tokio::runtime::{Builder, Runtime};

use crate::{bench, floor, lifecycle, rush, streams, surge};

/// What `load` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Customers of goose: look at the sale, order, retry with the same key, wait until settled.
    ///
    /// Writes goose's HTML report and a journal for `check`.
    Rush(rush::Arguments),
    /// Customers of goose who live with their orders: pay by card or wallet, follow the live updates, cancel,
    /// send back, or let them expire.
    ///
    /// Writes goose's HTML report and a journal for `check`.
    Lifecycle(lifecycle::Arguments),
    /// Orders at a fixed rate of arrivals (open loop), with latencies from the intended time of sending.
    ///
    /// Prints percentiles, and writes an HTML report with plots and a journal for `check`.
    Surge(surge::Arguments),
    /// Many customers follow their orders at one gateway: memory a stream, and how soon changes are told.
    ///
    /// Exit code 1: somebody was not told what became of their order.
    Streams(streams::Arguments),
    /// Accepted orders a second beside the floors that they are compared with, in one run.
    ///
    /// Needs the machine for itself. Exit code 1 when a target was missed.
    Bench(bench::Arguments),
    /// A server that answers every order with the same 202: floor (a) of `bench`.
    Floor(floor::Arguments),
    /// Compare what clients were told with Postgres, Redis and the log, invariant by invariant.
    ///
    /// Waits until the sale is at rest, then prints one line per invariant of ARCHITECTURE.md. Exit code 0:
    /// all hold; 1: one is violated; 2: something could not be checked.
    Check(checker::command::Arguments),
}

impl Command {
    /// Runs to the end.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Rush(arguments) => all_cores()?.block_on(rush::run(&arguments)),
            Self::Lifecycle(arguments) => all_cores()?.block_on(lifecycle::run(&arguments)),
            Self::Surge(arguments) => lean()?.block_on(surge::run(&arguments)),
            Self::Streams(arguments) => lean()?.block_on(streams::run(&arguments)),
            Self::Bench(arguments) => lean()?.block_on(bench::run(&arguments)),
            Self::Floor(arguments) => all_cores()?.block_on(floor::run(&arguments)),
            Self::Check(arguments) => lean()?.block_on(checker::command::run(&arguments)),
        }
    }
}

/// One thread: generators share the machine with the servers, and one thread wastes nothing on waking
/// another.
fn lean() -> anyhow::Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// As many threads as cores, as the gateway has.
fn all_cores() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

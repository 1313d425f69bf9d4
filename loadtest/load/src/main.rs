//! `load`: the arguments, and what each subcommand calls.

use std::process::ExitCode;

use clap::Parser;
use load::command::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load for the flash sale, and the proof of what it did.
///
/// Every subcommand takes its addresses from the environment that `./dev env` prints; `./dev load …`
/// sets it.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::from(2)
        }
    }
}

//! `load`: the arguments and the subcommands.

use std::process::ExitCode;

use clap::Parser;
use load::command::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load on the flash sale, measurements, and the checker of the results.
///
/// Every subcommand takes its addresses from the environment variables that `./dev env` prints; `./dev load
/// …` sets them.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    arguments.command.run().unwrap_or_else(|error| {
        eprintln!("load: {error:#}");
        ExitCode::from(2)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::CommandLine::command().debug_assert();
    }
}

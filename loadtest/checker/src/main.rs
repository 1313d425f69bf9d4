//! `flashsale-check`: the checker as a program of its own.

use std::process::ExitCode;

use clap::Parser;

/// Compare the clients' journals with Postgres, Redis and the log, invariant by invariant.
///
/// Waits until the sale is quiescent, then prints one line for each invariant of ARCHITECTURE.md. Exit code
/// 0: all invariants hold; 1: one is violated; 2: something could not be checked.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(flatten)]
    checker: checker::command::Arguments,
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(checker::command::run(&arguments.checker)));
    outcome.unwrap_or_else(|error| {
        eprintln!("flashsale-check: {error:#}");
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

//! `flashsale-check`: the arguments, and the runtime.

use std::process::ExitCode;

use clap::Parser;

/// Compare what clients were told with Postgres, Redis and the log, invariant by invariant.
///
/// Waits until the sale is at rest, then prints one line per invariant of ARCHITECTURE.md. Exit code 0:
/// all hold; 1: one is violated; 2: something could not be checked.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    checker: checker::command::Arguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(checker::command::run(&arguments.checker)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("flashsale-check: {error:#}");
            ExitCode::from(2)
        }
    }
}

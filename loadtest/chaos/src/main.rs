//! `chaos`: the program that `./dev chaos` runs.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Inject one fault after another under load, and check every invariant after each.
///
/// Runs on the stack that `./dev chaos` starts. Exit code 0: nothing was lost, oversold, doubled, mischarged,
/// leaked or left over in any scenario.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(flatten)]
    chaos: chaos::Arguments,
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome =
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(chaos::run(&arguments.chaos)));
    outcome.unwrap_or_else(|error| {
        eprintln!("chaos: {error:#}");
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

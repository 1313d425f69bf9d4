//! `demo`: the program that `./dev demo` runs.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The demonstration: a burst sale that sells out, the lifecycle of its orders, a report, and a check of
/// every invariant.
///
/// Creates the sample sale, which stays open, and a burst sale. Runs the customers of the burst, waits for
/// settlement, prints what happened and checks every invariant. Then customers pay, cancel, or let orders
/// expire; returned units are sold again; goods are delivered, some are sent back; and every invariant is
/// checked again. Exit code 0: all invariants hold and every response was as documented.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(flatten)]
    demo: demo::Arguments,
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    // One thread: the generator shares the machine with the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome =
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(demo::run(&arguments.demo)));
    outcome.unwrap_or_else(|error| {
        eprintln!("demo: {error:#}");
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

//! `demo`: the arguments, and the runtime.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A burst sale sold out before your eyes, and what becomes of its orders: customers, report, proof.
///
/// Defines the sample sale (left open) and a burst sale of its own, lets the customers in, waits for
/// settlement, prints what happened and judges every invariant. Then they pay, cancel, forget; what comes
/// back is sold again; goods arrive, some are sent back; and every invariant is judged once more. Exit code 0:
/// all hold and every answer was as documented.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    demo: demo::Arguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome =
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(demo::run(&arguments.demo)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::from(2)
        }
    }
}

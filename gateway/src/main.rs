//! The binary: settings, and then the library.

use clap::Parser;
use gateway::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let own = settings.process.clone();
    Ok(process::run(&own, |metrics, stop| gateway::run(settings, metrics, stop))?)
}

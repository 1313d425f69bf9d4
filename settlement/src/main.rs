//! The binary: settings, and then the library.

use clap::Parser;
use settlement::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let own = settings.process.clone();
    Ok(process::run(&own, |metrics, stop| settlement::run(settings, metrics, stop))?)
}

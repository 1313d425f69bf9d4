//! The binary: reads the settings and runs the library.

use clap::Parser;
use downstream::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let own = settings.process.clone();
    Ok(process::run(&own, |metrics, stop| downstream::run(settings, metrics, stop))?)
}

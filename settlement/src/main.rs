//! The binary: parses the settings and runs the library.

use clap::Parser;
use settlement::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let process_settings = settings.process.clone();
    Ok(process::run(&process_settings, |metrics, stop| settlement::run(settings, metrics, stop))?)
}

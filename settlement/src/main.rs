//! The binary: parses the settings, binds the listener, runs the library.

use clap::Parser;
use settlement::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let process_settings = settings.process.clone();
    Ok(process::run(&process_settings, |metrics, stop| async move {
        let listener = settlement::bind(&settings).await?;
        settlement::run(settings, listener, metrics, stop).await
    })?)
}

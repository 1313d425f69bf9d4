//! The binary: settings, telemetry, signals, and then the library.

use clap::Parser;
use downstream::Settings;
use process::{shutdown, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    telemetry::start_logs(&settings.process)?;
    let metrics = telemetry::start_metrics()?;
    settings.process.runtime()?.block_on(async {
        let shutdown = shutdown::on_signals()?;
        downstream::run(settings, metrics, shutdown).await?;
        Ok(())
    })
}

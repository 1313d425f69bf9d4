//! The gateway's binary: settings, logs, runtime, run.

use anyhow::Context;
use clap::Parser;
use gateway::Settings;
use process::{shutdown, telemetry};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    telemetry::start_logs(&settings.process)?;
    let metrics = telemetry::start_metrics()?;
    settings.process.runtime().context("cannot start the runtime")?.block_on(async {
        let stop = shutdown::on_signals().context("cannot listen for signals")?;
        Ok(gateway::run(settings, metrics, stop).await?)
    })
}

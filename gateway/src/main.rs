//! The binary: parses the settings, binds the listeners, runs the gateway.

use clap::Parser;
use gateway::{Listeners, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let process_settings = settings.process.clone();
    Ok(process::run(&process_settings, |metrics, stop| async move {
        settings.check_identity()?;
        let listeners = Listeners::bind(&settings).await?;
        gateway::run(settings, listeners, metrics, stop).await
    })?)
}

//! What may happen to the log.

use std::time::Duration;

use rustix::process::Signal;

use super::Stage;
use crate::proxy::Way;
use crate::stack::proxies;

/// How long it stands still.
const STOPPED: Duration = Duration::from_secs(30);

pub(super) async fn killed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    stage.stack.service("kafka")?.kill().await?;
    stage.pause(0, 2000).await;
    stage.stack.restart_services().await
}

pub(super) async fn stopped(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 2500).await;
    let mut kafka = stage.stack.service("kafka")?;
    kafka.signal(Signal::STOP);
    tokio::time::sleep(STOPPED).await;
    kafka.signal(Signal::CONT);
    Ok(())
}

/// Gateways write, and hear nothing: neither acknowledgements nor what they read.
pub(super) async fn acknowledgements_dropped(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 3000).await;
    stage.stack.proxies.swallow(proxies::KAFKA_GATEWAYS, Way::Down).await?;
    stage.pause(2000, 7000).await;
    // What was swallowed is gone for good: the connections end.
    stage.stack.proxies.cut(proxies::KAFKA_GATEWAYS).await?;
    stage.stack.proxies.reset().await
}

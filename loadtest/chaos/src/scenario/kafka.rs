//! Faults of Kafka.

use std::time::Duration;

use stack::Signal;

use super::Stage;
use crate::proxy::Direction;
use crate::stack::proxies;

/// How long Kafka is stopped.
const STOPPED: Duration = Duration::from_secs(30);

pub(super) async fn killed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    stage.stack.service("kafka")?.kill().await?;
    stage.pause(0, 2000).await;
    stage.stack.restart_services().await
}

pub(super) async fn stopped(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 2500).await;
    let kafka = stage.stack.service("kafka")?;
    kafka.signal(Signal::STOP);
    tokio::time::sleep(STOPPED).await;
    kafka.signal(Signal::CONT);
    Ok(())
}

/// Drops everything that the gateways receive from Kafka: acknowledgements and records. Their own writes
/// arrive.
pub(super) async fn acknowledgements_dropped(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 3000).await;
    stage.stack.proxies.blackhole(proxies::KAFKA_GATEWAYS, Direction::ToProgram).await?;
    stage.pause(2000, 7000).await;
    // Dropped data is lost, so the connections are closed.
    stage.stack.proxies.disable(proxies::KAFKA_GATEWAYS).await?;
    stage.stack.proxies.reset().await
}

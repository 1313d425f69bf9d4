//! Two faults within half a second.

use super::Stage;

const APART_MS: u64 = 500;

pub(super) async fn redis_and_gateway(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    kill_redis(stage).await?;
    stage.pause(0, APART_MS).await;
    stage.stack.gateway(0)?.kill().await?;
    stage.pause(0, 1000).await;
    stage.stack.redis.start(0).await?;
    stage.stack.start_gateway(0, "")
}

pub(super) async fn redis_and_settlement(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let owner = stage.partition_owner().await?;
    stage.wait_into_burst().await;
    kill_redis(stage).await?;
    stage.pause(0, APART_MS).await;
    stage.stack.settlement(owner)?.kill().await?;
    stage.pause(0, 1000).await;
    stage.stack.redis.start(0).await?;
    stage.stack.start_settlement(owner, "")
}

/// Kills Redis, and deletes its data in half of the cases.
async fn kill_redis(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.stack.redis.kill(0).await?;
    if stage.rng.bool() {
        stage.stack.redis.wipe(0)?;
    }
    Ok(())
}

pub(super) async fn kafka_and_gateway(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    stage.stack.service("kafka")?.kill().await?;
    stage.pause(0, APART_MS).await;
    stage.stack.gateway(0)?.kill().await?;
    stage.pause(0, 1000).await;
    stage.stack.restart_services().await?;
    stage.stack.start_gateway(0, "")
}

pub(super) async fn postgres_and_settlement(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let owner = stage.partition_owner().await?;
    stage.wait_into_burst().await;
    stage.stack.service("postgres")?.kill().await?;
    stage.pause(0, APART_MS).await;
    stage.stack.settlement(owner)?.kill().await?;
    stage.pause(0, 1000).await;
    stage.stack.restart_services().await?;
    stage.stack.start_settlement(owner, "")
}

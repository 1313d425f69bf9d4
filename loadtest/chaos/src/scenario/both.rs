//! Two at once, within half a second.

use super::Stage;

const APART_MS: u64 = 500;

pub(super) async fn redis_and_gateway(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    redis_is_killed(stage).await?;
    stage.pause(0, APART_MS).await;
    stage.stack.gateway(0)?.kill().await?;
    stage.pause(0, 1000).await;
    stage.stack.redis.start(0).await?;
    stage.stack.start_gateway(0, "")
}

pub(super) async fn redis_and_settlement(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let owner = stage.owner().await?;
    stage.moment().await;
    redis_is_killed(stage).await?;
    stage.pause(0, APART_MS).await;
    stage.stack.settlement(owner)?.kill().await?;
    stage.pause(0, 1000).await;
    stage.stack.redis.start(0).await?;
    stage.stack.start_settlement(owner, "")
}

/// Empty afterwards, or with what it had on disk.
async fn redis_is_killed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.stack.redis.kill(0).await?;
    if stage.dice.roll(2) == 0 {
        stage.stack.redis.wipe(0)?;
    }
    Ok(())
}

pub(super) async fn kafka_and_gateway(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    stage.stack.service("kafka")?.kill().await?;
    stage.pause(0, APART_MS).await;
    stage.stack.gateway(0)?.kill().await?;
    stage.pause(0, 1000).await;
    stage.stack.restart_services().await?;
    stage.stack.start_gateway(0, "")
}

pub(super) async fn postgres_and_settlement(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let owner = stage.owner().await?;
    stage.moment().await;
    stage.stack.service("postgres")?.kill().await?;
    stage.pause(0, APART_MS).await;
    stage.stack.settlement(owner)?.kill().await?;
    stage.pause(0, 1000).await;
    stage.stack.restart_services().await?;
    stage.stack.start_settlement(owner, "")
}

//! What may happen to Redis.

use std::time::Duration;

use rustix::process::Signal;

use super::Stage;
use crate::proxy::Way;
use crate::stack::proxies;

/// Which of the two servers.
const FIRST: usize = 0;
const SECOND: usize = 1;

/// The age of the copy.
const COPY_AGE: Duration = Duration::from_secs(30);
/// How long it stands still.
const STOPPED: Duration = Duration::from_secs(10);

pub(super) async fn killed_and_empty(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    stage.stack.redis.kill(FIRST).await?;
    stage.stack.redis.wipe(FIRST)?;
    stage.pause(0, 2000).await;
    stage.stack.redis.start(FIRST).await
}

pub(super) async fn killed_and_old(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(1000, 2500).await;
    stage.stack.redis.copy(FIRST).await?;
    tokio::time::sleep(COPY_AGE).await;
    stage.stack.redis.kill(FIRST).await?;
    stage.stack.redis.restore(FIRST)?;
    stage.stack.redis.start(FIRST).await
}

pub(super) async fn stopped(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 3000).await;
    stage.stack.redis.signal(FIRST, Signal::STOP);
    tokio::time::sleep(STOPPED).await;
    stage.stack.redis.signal(FIRST, Signal::CONT);
    Ok(())
}

pub(super) async fn flushed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    stage.stack.redis.command::<String>(FIRST, "FLUSHALL", &[]).await?;
    Ok(())
}

pub(super) async fn scripts_flushed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    stage.stack.redis.command::<String>(FIRST, "SCRIPT", &["FLUSH"]).await?;
    Ok(())
}

/// Less room than is in use: whatever takes memory is refused.
pub(super) async fn full(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    let redis = &stage.stack.redis;
    redis.command::<String>(FIRST, "CONFIG", &["SET", "maxmemory", "100kb"]).await?;
    stage.pause(2000, 5000).await;
    stage.stack.redis.command::<String>(FIRST, "CONFIG", &["SET", "maxmemory", "1gb"]).await?;
    Ok(())
}

/// The second follows the first, through a proxy that can hold it back. Before the sale is made, because
/// a first replica changes the replication id.
pub(super) async fn with_replica(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.stack.redis.start(SECOND).await?;
    let through = stage.stack.replication();
    stage.stack.redis.follow(SECOND, through).await
}

/// From now on the replica hears nothing, without knowing it.
async fn held_back(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    stage.stack.proxies.swallow(proxies::REPLICATION, Way::Down).await?;
    stage.pause(200, 1500).await;
    Ok(())
}

pub(super) async fn failed_over(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    held_back(stage).await?;
    stage.stack.redis.kill(FIRST).await?;
    stage.stack.redis.promote(SECOND).await?;
    stage.stack.lead_redis(stage.stack.redis.second()).await
}

/// The first has its scripts still when it is promoted again, and the data of the second.
pub(super) async fn failed_back(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    held_back(stage).await?;
    stage.stack.redis.promote(SECOND).await?;
    let (first, second) = (stage.stack.redis.first(), stage.stack.redis.second());
    stage.stack.redis.follow(FIRST, second).await?;
    if stage.dice.roll(2) == 0 {
        stage.stack.lead_redis(second).await?;
        stage.pause(0, 1000).await;
    }
    stage.stack.redis.promote(FIRST).await?;
    stage.stack.lead_redis(first).await
}

/// The second is promoted while the first goes on, and the first gateway goes on with it.
pub(super) async fn split(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    held_back(stage).await?;
    stage.stack.redis.promote(SECOND).await?;
    let second = stage.stack.redis.second();
    for proxy in [proxies::REDIS_GATEWAYS[1], proxies::REDIS_SETTLEMENTS] {
        stage.stack.proxies.lead(proxy, second).await?;
    }
    stage.pause(3000, 6000).await;
    // The network heals: the first is no primary any more.
    stage.stack.redis.kill(FIRST).await?;
    stage.stack.lead_redis(second).await
}

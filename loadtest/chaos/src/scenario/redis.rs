//! Faults of Redis.

use std::time::Duration;

use stack::Signal;

use super::Stage;
use crate::proxy::Direction;
use crate::stack::proxies;

/// The numbers of the two servers.
const FIRST: usize = 0;
const SECOND: usize = 1;

/// The age of the copy.
const COPY_AGE: Duration = Duration::from_secs(30);
/// How long Redis is stopped.
const STOPPED: Duration = Duration::from_secs(10);

pub(super) async fn killed_and_empty(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    stage.stack.redis.kill(FIRST).await?;
    stage.stack.redis.wipe(FIRST)?;
    stage.pause(0, 2000).await;
    stage.stack.redis.start(FIRST).await
}

pub(super) async fn killed_and_old(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(1000, 2500).await;
    stage.stack.redis.back_up(FIRST).await?;
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
    stage.wait_into_burst().await;
    stage.stack.redis.command::<String>(FIRST, "FLUSHALL", &[]).await?;
    Ok(())
}

pub(super) async fn scripts_flushed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    stage.stack.redis.command::<String>(FIRST, "SCRIPT", &["FLUSH"]).await?;
    Ok(())
}

/// Sets maxmemory below the memory in use, so that every write is refused.
pub(super) async fn full(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    let redis = &stage.stack.redis;
    redis.command::<String>(FIRST, "CONFIG", &["SET", "maxmemory", "100kb"]).await?;
    stage.pause(2000, 5000).await;
    stage.stack.redis.command::<String>(FIRST, "CONFIG", &["SET", "maxmemory", "1gb"]).await?;
    Ok(())
}

/// Makes the second server a replica of the first, through a proxy that can hold it back. This happens before
/// the sale is created, because a first replica changes the replication id.
pub(super) async fn with_replica(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.stack.redis.start(SECOND).await?;
    let through = stage.stack.replication();
    stage.stack.redis.replicate_from(SECOND, through).await
}

/// Drops the replication stream without closing the connection.
async fn hold_back_replica(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    stage.stack.proxies.blackhole(proxies::REPLICATION, Direction::ToProgram).await?;
    stage.pause(200, 1500).await;
    Ok(())
}

pub(super) async fn failed_over(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    hold_back_replica(stage).await?;
    stage.stack.redis.kill(FIRST).await?;
    stage.stack.redis.promote(SECOND).await?;
    stage.stack.redirect_redis(stage.stack.redis.second()).await
}

/// Promotes the second server and then the first again, which still has its scripts, but the data of the
/// second.
pub(super) async fn failed_back(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    hold_back_replica(stage).await?;
    stage.stack.redis.promote(SECOND).await?;
    let (first, second) = (stage.stack.redis.first(), stage.stack.redis.second());
    stage.stack.redis.replicate_from(FIRST, second).await?;
    if stage.rng.bool() {
        stage.stack.redirect_redis(second).await?;
        stage.pause(0, 1000).await;
    }
    stage.stack.redis.promote(FIRST).await?;
    stage.stack.redirect_redis(first).await
}

/// Promotes the second server while the first continues, and the first gateway continues with it.
pub(super) async fn split(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    hold_back_replica(stage).await?;
    stage.stack.redis.promote(SECOND).await?;
    let second = stage.stack.redis.second();
    for proxy in [proxies::REDIS_GATEWAYS[1], proxies::REDIS_SETTLEMENTS] {
        stage.stack.proxies.redirect(proxy, second).await?;
    }
    stage.pause(3000, 6000).await;
    // The network is restored: the first server is no primary any more.
    stage.stack.redis.kill(FIRST).await?;
    stage.stack.redirect_redis(second).await
}

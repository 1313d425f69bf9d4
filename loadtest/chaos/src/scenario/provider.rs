//! What may happen between us and the card provider.

use super::Stage;
use crate::followers::Follower;
use crate::proxy::Way;
use crate::stack::proxies;

/// Refuses connections, or is dead; the seed says which.
pub(super) async fn down(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 3_000).await;
    let killed = stage.dice.roll(2) == 0;
    if killed {
        stage.stack.follower(Follower::Provider)?.kill().await?;
    } else {
        stage.stack.proxies.cut(proxies::PROVIDER).await?;
    }
    stage.pause(20_000, 22_000).await;
    if killed {
        return stage.stack.start_follower(Follower::Provider, "");
    }
    stage.stack.proxies.mend(proxies::PROVIDER).await
}

/// Everything happens, and is heard of too late.
pub(super) async fn slow(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 2_000).await;
    let latency = stage.between(1_200, 2_500);
    stage.stack.proxies.delay(proxies::PROVIDER, Way::Down, latency, latency / 3).await?;
    stage.pause(4_000, 7_000).await;
    stage.stack.proxies.reset().await
}

/// Answers are lost after the deed, and no callback is taken for a while: the first word that comes through
/// may be any of them.
pub(super) async fn lies_twice(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for _ in 0..3 {
        stage.pause(200, 800).await;
        stage.stack.proxies.swallow(proxies::PROVIDER, Way::Down).await?;
        stage.stack.proxies.cut(proxies::CALLBACKS).await?;
        stage.pause(500, 2_500).await;
        // What was swallowed is gone for good: the connections end.
        stage.stack.proxies.cut(proxies::PROVIDER).await?;
        stage.stack.proxies.reset().await?;
    }
    Ok(())
}

/// Answers and callbacks take now more, now less time, as long as customers come.
pub(super) async fn jitters(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for proxy in [proxies::PROVIDER, proxies::CALLBACKS] {
        let latency = stage.between(50, 300);
        stage.stack.proxies.delay(proxy, Way::Down, latency, latency).await?;
    }
    tokio::time::sleep(stage.lasts).await;
    stage.stack.proxies.reset().await
}

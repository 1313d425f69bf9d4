//! Faults between the system and the card provider.

use super::Stage;
use crate::downstream::DownstreamProgram;
use crate::proxy::Direction;
use crate::stack::proxies;

/// Makes the provider unreachable or kills it; the seed decides which.
pub(super) async fn down(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 3_000).await;
    let killed = stage.rng.bool();
    if killed {
        stage.stack.downstream_program(DownstreamProgram::Provider)?.kill().await?;
    } else {
        stage.stack.proxies.disable(proxies::PROVIDER).await?;
    }
    stage.pause(20_000, 22_000).await;
    if killed {
        return stage.stack.start_downstream(DownstreamProgram::Provider, "");
    }
    stage.stack.proxies.enable(proxies::PROVIDER).await
}

/// Delays the provider's responses beyond the timeout of payments.
pub(super) async fn slow(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.pause(500, 2_000).await;
    let latency = stage.duration_between(1_200, 2_500);
    stage.stack.proxies.add_latency(proxies::PROVIDER, Direction::ToProgram, latency, latency / 3).await?;
    stage.pause(4_000, 7_000).await;
    stage.stack.proxies.reset().await
}

/// Drops responses after the provider has acted, and blocks callbacks for a while, so that any of the
/// messages may arrive first.
pub(super) async fn lies_twice(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for _ in 0..3 {
        stage.pause(200, 800).await;
        stage.stack.proxies.blackhole(proxies::PROVIDER, Direction::ToProgram).await?;
        stage.stack.proxies.disable(proxies::CALLBACKS).await?;
        stage.pause(500, 2_500).await;
        // Dropped data is lost, so the connections are closed.
        stage.stack.proxies.disable(proxies::PROVIDER).await?;
        stage.stack.proxies.reset().await?;
    }
    Ok(())
}

/// Delays responses and callbacks by varying times during the whole burst.
pub(super) async fn jitters(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for proxy in [proxies::PROVIDER, proxies::CALLBACKS] {
        let latency = stage.duration_between(50, 300);
        stage.stack.proxies.add_latency(proxy, Direction::ToProgram, latency, latency).await?;
    }
    tokio::time::sleep(stage.duration).await;
    stage.stack.proxies.reset().await
}

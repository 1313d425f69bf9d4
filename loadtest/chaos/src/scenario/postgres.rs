//! Faults of Postgres.

use std::time::Duration;

use anyhow::Context;
use stack::Signal;

use super::Stage;
use crate::proxy::Direction;
use crate::stack::{Faults, proxies};
use fastrand::Rng;

/// The longest wait until a commit is reached.
const HIT_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn killed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    stage.stack.service("postgres")?.kill().await?;
    stage.pause(0, 2000).await;
    stage.stack.restart_services().await
}

/// Stops a settlement when everything but the COMMIT has been sent.
pub(super) fn stopped_before_commit(rng: &mut Rng) -> Faults {
    let at = 3 + rng.u64(0..30);
    let fault = format!("settlement.before_commit=stop@{at}");
    Faults { settlements: [fault.clone(), fault], ..Faults::default() }
}

/// Continues it so that its COMMIT arrives, and drops the reply.
pub(super) async fn commit_reply_cut(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let stopped = stage.wait_for_stopped_settlement(HIT_LIMIT).await?;
    let stopped = stopped.context("no settlement reached its commit")?;
    stage.stack.proxies.blackhole(proxies::POSTGRES_SETTLEMENTS, Direction::ToProgram).await?;
    stage.stack.settlement(stopped)?.signal(Signal::CONT);
    stage.pause(100, 1000).await;
    stage.stack.proxies.disable(proxies::POSTGRES_SETTLEMENTS).await?;
    stage.stack.proxies.reset().await
}

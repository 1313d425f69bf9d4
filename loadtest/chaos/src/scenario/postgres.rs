//! What may happen to Postgres.

use std::time::Duration;

use rustix::process::Signal;

use super::Stage;
use crate::proxy::Way;
use crate::stack::{Faults, proxies};
use customers::crowd::Dice;

/// A commit is reached within this time.
const HIT_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn killed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    stage.stack.service("postgres")?.kill().await?;
    stage.pause(0, 2000).await;
    stage.stack.restart_services().await
}

/// A settler stands still with everything sent but the COMMIT.
pub(super) fn stopped_before_commit(dice: &mut Dice) -> Faults {
    let at = 3 + dice.roll(30);
    let fault = format!("settlement.before_commit=stop@{at}");
    Faults { settlements: [fault.clone(), fault], ..Faults::default() }
}

/// From there its COMMIT arrives, and the answer does not.
pub(super) async fn commit_reply_cut(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let stopped = stage.owner_stopped(HIT_LIMIT).await?;
    let stopped = stopped.ok_or_else(|| anyhow::anyhow!("no settler came to its commit"))?;
    stage.stack.proxies.swallow(proxies::POSTGRES_SETTLEMENTS, Way::Down).await?;
    stage.stack.settlement(stopped)?.signal(Signal::CONT);
    stage.pause(100, 1000).await;
    stage.stack.proxies.cut(proxies::POSTGRES_SETTLEMENTS).await?;
    stage.stack.proxies.reset().await
}

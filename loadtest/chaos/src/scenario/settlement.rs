//! Settlements that are killed or stopped.

use std::time::Duration;

use anyhow::Context;
use stack::Signal;

use super::Stage;
use crate::stack::Faults;
use fastrand::Rng;

/// The pause between two kills.
const EVERY: Duration = Duration::from_secs(2);
/// The number of kills.
const KILLS: usize = 4;
/// Longer than the group's session timeout plus the takeover by the other instance.
const ZOMBIE: Duration = Duration::from_secs(9);
/// The highest number of raises of a total until a settlement releases units.
const RAISES_MAX: usize = 20;
/// The longest wait until a fault point is reached.
const HIT_LIMIT: Duration = Duration::from_secs(30);

/// The steps of a rebuild, and the passage at which each is hit: the first passage is the sale's opening,
/// which waits for no lease.
const STEPS: [(&str, u64); 11] = [
    ("begun", 2),
    ("published", 2),
    ("waited", 1),
    ("drained", 2),
    ("barrier_written", 2),
    ("barrier_settled", 2),
    ("unlinked", 2),
    ("written", 2),
    ("loaded", 2),
    ("sealed", 2),
    ("finished", 2),
];

pub(super) async fn killed_often(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let first = stage.rng.usize(0..2);
    stage.pause(200, 1000).await;
    for n in (first..).take(KILLS).map(|n| n % 2) {
        stage.stack.settlement(n)?.kill().await?;
        stage.stack.start_settlement(n, "")?;
        tokio::time::sleep(EVERY).await;
    }
    Ok(())
}

/// Stops a settlement with a decided batch, inside its transaction, or at any point; the seed decides which.
pub(super) fn stopped_with_a_batch(rng: &mut Rng) -> Faults {
    let point = match rng.u32(0..3) {
        0 => return Faults::default(),
        1 => "settlement.before_transaction",
        _ => "settlement.before_commit",
    };
    let at = 3 + rng.u64(0..20);
    let fault = format!("{point}=stop@{at}");
    Faults { settlements: [fault.clone(), fault], ..Faults::default() }
}

pub(super) async fn zombie(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let owner = match stage.wait_for_stopped_settlement(Duration::from_secs(3)).await? {
        Some(stopped) => stopped,
        None => {
            let owner = stage.partition_owner().await?;
            stage.stack.settlement(owner)?.signal(Signal::STOP);
            owner
        }
    };
    tokio::time::sleep(ZOMBIE).await;
    stage.stack.settlement(owner)?.signal(Signal::CONT);
    Ok(())
}

/// Stops the settlement that releases units right before it does.
pub(super) fn stopped_before_release(rng: &mut Rng) -> Faults {
    let at = 1 + rng.u64(0..3);
    let fault = format!("settlement.before_release=stop@{at}");
    Faults { settlements: [fault.clone(), fault], ..Faults::default() }
}

/// Raises a total until a settlement stops; then the other settlement releases the units instead.
pub(super) async fn zombie_releases(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut terms = customers::sales::burst(super::DEFAULT.units);
    let mut stopped = None;
    for _ in 0..RAISES_MAX {
        let by = 20 + stage.rng.u64(0..30);
        if let Some(total) = terms.items[0].total.as_mut() {
            *total += by;
        }
        stage.stack.admin(1)?.try_put(&stage.sale, &terms).await?;
        stopped = stage.wait_for_stopped_settlement(Duration::from_millis(300)).await?;
        if stopped.is_some() {
            break;
        }
    }
    let stopped = stopped.context("no settlement was about to release units")?;
    tokio::time::sleep(ZOMBIE).await;
    stage.stack.settlement(stopped)?.signal(Signal::CONT);
    Ok(())
}

/// Kills whichever settlement performs the rebuild.
pub(super) fn killed_at_step(rng: &mut Rng) -> Faults {
    let (step, at) = STEPS[rng.usize(0..STEPS.len())];
    let fault = format!("settlement.rebuild.{step}=kill@{at}");
    Faults { settlements: [fault.clone(), fault], ..Faults::default() }
}

pub(super) async fn killed_in_rebuild(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.wait_into_burst().await;
    stage.rebuild().await?;
    let begun = std::time::Instant::now();
    loop {
        for n in 0..2 {
            if !stage.stack.settlement(n)?.is_alive() {
                stage.pause(0, 1000).await;
                return stage.stack.start_settlement(n, "");
            }
        }
        anyhow::ensure!(begun.elapsed() < HIT_LIMIT, "no settlement reached the step at which it is killed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

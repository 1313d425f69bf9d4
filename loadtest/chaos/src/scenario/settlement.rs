//! Settlers that die or stand still.

use std::time::Duration;

use rustix::process::Signal;

use super::Stage;
use crate::stack::Faults;
use customers::crowd::Dice;

/// Between two kills.
const EVERY: Duration = Duration::from_secs(2);
/// How many.
const KILLS: usize = 4;
/// Longer than the group waits for a silent member, and for the other to take over.
const ZOMBIE: Duration = Duration::from_secs(9);
/// Raises of a total, at most, until a settler comes to give units back.
const RAISES_MAX: usize = 20;
/// A step is hit within this time.
const HIT_LIMIT: Duration = Duration::from_secs(30);

/// The steps of a rebuild, and at which passage they are hit: the first passage is the sale's opening,
/// which outwaits no lease.
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
    let first = stage.dice.roll(2) as usize;
    stage.pause(200, 1000).await;
    for n in (first..).take(KILLS).map(|n| n % 2) {
        stage.stack.settlement(n)?.kill().await?;
        stage.stack.start_settlement(n, "")?;
        tokio::time::sleep(EVERY).await;
    }
    Ok(())
}

/// By the seed, it stands still with a batch decided, inside its transaction, or wherever it is.
pub(super) fn stopped_with_a_batch(dice: &mut Dice) -> Faults {
    let point = match dice.roll(3) {
        0 => return Faults::default(),
        1 => "settlement.before_transaction",
        _ => "settlement.before_commit",
    };
    let at = 3 + dice.roll(20);
    let fault = format!("{point}=stop@{at}");
    Faults { settlements: [fault.clone(), fault], ..Faults::default() }
}

pub(super) async fn zombie(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let owner = match stage.owner_stopped(Duration::from_secs(3)).await? {
        Some(stopped) => stopped,
        None => {
            let owner = stage.owner().await?;
            stage.stack.settlement(owner)?.signal(Signal::STOP);
            owner
        }
    };
    tokio::time::sleep(ZOMBIE).await;
    stage.stack.settlement(owner)?.signal(Signal::CONT);
    Ok(())
}

/// Whoever gives units back stands still right before it does.
pub(super) fn stopped_before_release(dice: &mut Dice) -> Faults {
    let at = 1 + dice.roll(3);
    let fault = format!("settlement.before_release=stop@{at}");
    Faults { settlements: [fault.clone(), fault], ..Faults::default() }
}

/// The operator raises a total until that happens; then the other settler does what the first was about to.
pub(super) async fn zombie_releases(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut terms = customers::sales::burst(super::ORDINARY.units);
    let mut stopped = None;
    for _ in 0..RAISES_MAX {
        let by = 20 + stage.dice.roll(30);
        if let Some(total) = terms.items[0].total.as_mut() {
            *total += by;
        }
        stage.stack.admin(1)?.try_put(&stage.sale, &terms).await?;
        stopped = stage.owner_stopped(Duration::from_millis(300)).await?;
        if stopped.is_some() {
            break;
        }
    }
    let stopped = stopped.ok_or_else(|| anyhow::anyhow!("no settler came to give units back"))?;
    tokio::time::sleep(ZOMBIE).await;
    stage.stack.settlement(stopped)?.signal(Signal::CONT);
    Ok(())
}

/// Both may be the one that rebuilds; whoever does is killed.
pub(super) fn killed_at_step(dice: &mut Dice) -> Faults {
    let (step, at) = STEPS[dice.roll(STEPS.len() as u64) as usize];
    let fault = format!("settlement.rebuild.{step}=kill@{at}");
    Faults { settlements: [fault.clone(), fault], ..Faults::default() }
}

pub(super) async fn killed_in_rebuild(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.moment().await;
    stage.rebuild().await?;
    let begun = std::time::Instant::now();
    loop {
        for n in 0..2 {
            if !stage.stack.settlement(n)?.is_alive() {
                stage.pause(0, 1000).await;
                return stage.stack.start_settlement(n, "");
            }
        }
        anyhow::ensure!(begun.elapsed() < HIT_LIMIT, "no settler came to the step at which it was to die");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

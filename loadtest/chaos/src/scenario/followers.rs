//! What follows the events of orders dies, or speaks to nobody.

use std::time::Duration;

use super::Stage;
use crate::followers::{Follower, MESSAGES_AT_ONCE};
use crate::proxy::Way;
use crate::stack::{Faults, proxies};
use customers::crowd::Dice;

/// A step is hit within this time.
const HIT_LIMIT: Duration = Duration::from_secs(30);

/// At one of the steps of its work.
pub(super) fn killed_at(dice: &mut Dice, which: Follower) -> Faults {
    let points: &[&str] = match which {
        Follower::Provider => &[],
        Follower::Payments => &["payments.before_call", "payments.before_append", "payments.after_append"],
        Follower::Notification => {
            &["notification.before_send", "notification.before_remember", "notification.after_remember"]
        }
        Follower::Analytics => &["analytics.before_commit", "analytics.after_commit"],
    };
    let mut faults = Faults::default();
    let most = if which == Follower::Analytics { 10 } else { 100 };
    if let Some(point) = points.get(dice.roll(points.len() as u64) as usize) {
        faults.followers[which as usize] = format!("{point}=kill@{}", 3 + dice.roll(most));
    }
    faults
}

/// The receiver takes its time: whoever tells it is killed with much on the way, and more behind it.
pub(super) async fn killed_in_talk(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let latency = stage.between(200, 500);
    stage.stack.proxies.delay(proxies::NOTIFICATION_TARGET, Way::Down, latency, latency / 2).await?;
    killed(stage, Follower::Notification).await?;
    stage.doubles_allowed += 2 * MESSAGES_AT_ONCE;
    stage.stack.proxies.reset().await
}

/// Waits for its end, starts it again, and kills it once more while it makes up for that.
pub(super) async fn killed(stage: &mut Stage<'_>, which: Follower) -> anyhow::Result<()> {
    stage.stack.follower(which)?.until_gone(HIT_LIMIT).await?;
    stage.pause(0, 1_000).await;
    stage.stack.start_follower(which, "")?;
    // The group gives it its place again after some seconds; it then has as much behind it as it will ever have.
    stage.stack.until_ready().await?;
    stage.pause(0, 1_000).await;
    stage.stack.follower(which)?.kill().await?;
    stage.pause(0, 1_000).await;
    stage.stack.start_follower(which, "")
}

/// Connections are cut and refused: what was on its way then may have arrived.
pub(super) async fn target_down(stage: &mut Stage<'_>, least_ms: u64, most_ms: u64) -> anyhow::Result<()> {
    stage.pause(1_000, 2_000).await;
    stage.stack.proxies.cut(proxies::NOTIFICATION_TARGET).await?;
    stage.doubles_allowed += MESSAGES_AT_ONCE;
    stage.pause(least_ms, most_ms).await;
    stage.stack.proxies.mend(proxies::NOTIFICATION_TARGET).await
}

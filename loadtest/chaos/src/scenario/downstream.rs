//! Downstream programs that are killed or unreachable.

use std::time::Duration;

use super::Stage;
use crate::downstream::{DownstreamProgram, MESSAGES_IN_FLIGHT_MAX};
use crate::proxy::Direction;
use crate::stack::{Faults, proxies};
use fastrand::Rng;

/// The longest wait until a fault point is reached.
const HIT_LIMIT: Duration = Duration::from_secs(30);

/// Kills a program at one of the steps of its work.
pub(super) fn killed_at(rng: &mut Rng, which: DownstreamProgram) -> Faults {
    let points: &[&str] = match which {
        DownstreamProgram::Provider => &[],
        DownstreamProgram::Payments => {
            &["payments.before_call", "payments.before_append", "payments.after_append"]
        }
        DownstreamProgram::Notification => {
            &["notification.before_send", "notification.before_remember", "notification.after_remember"]
        }
        DownstreamProgram::Analytics => &["analytics.before_commit", "analytics.after_commit"],
    };
    let mut faults = Faults::default();
    let passages = if which == DownstreamProgram::Analytics { 10 } else { 100 };
    if let Some(point) = rng.choice(points) {
        faults.downstream[which as usize] = format!("{point}=kill@{}", 3 + rng.u64(0..passages));
    }
    faults
}

/// Kills notification while the receiver responds slowly, so that many messages are in flight.
pub(super) async fn killed_while_sending(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let latency = stage.duration_between(200, 500);
    stage
        .stack
        .proxies
        .add_latency(proxies::NOTIFICATION_TARGET, Direction::ToProgram, latency, latency / 2)
        .await?;
    killed(stage, DownstreamProgram::Notification).await?;
    stage.duplicates_allowed += 2 * MESSAGES_IN_FLIGHT_MAX;
    stage.stack.proxies.reset().await
}

/// Waits for the exit of a program, restarts it, and kills it again while it catches up.
pub(super) async fn killed(stage: &mut Stage<'_>, which: DownstreamProgram) -> anyhow::Result<()> {
    stage.stack.downstream_program(which)?.wait_for_exit(HIT_LIMIT).await?;
    stage.pause(0, 1_000).await;
    stage.stack.start_downstream(which, "")?;
    // The group assigns its partitions again after some seconds; by then its backlog is at its largest.
    stage.stack.wait_until_ready().await?;
    stage.pause(0, 1_000).await;
    stage.stack.downstream_program(which)?.kill().await?;
    stage.pause(0, 1_000).await;
    stage.stack.start_downstream(which, "")
}

/// Closes and refuses the connections of notification; messages in flight may have arrived.
pub(super) async fn target_down(stage: &mut Stage<'_>, least_ms: u64, most_ms: u64) -> anyhow::Result<()> {
    stage.pause(1_000, 2_000).await;
    stage.stack.proxies.disable(proxies::NOTIFICATION_TARGET).await?;
    stage.duplicates_allowed += MESSAGES_IN_FLIGHT_MAX;
    stage.pause(least_ms, most_ms).await;
    stage.stack.proxies.enable(proxies::NOTIFICATION_TARGET).await
}

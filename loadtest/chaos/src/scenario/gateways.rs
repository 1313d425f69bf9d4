//! Gateways that die or stand still at a step, and customers who go away.

use std::time::Duration;

use rustix::process::Signal;

use super::Stage;
use crate::stack::Faults;
use customers::crowd::{Customer, Dice, Manner};

/// A step is hit within this time, or the load never reaches it.
const HIT_LIMIT: Duration = Duration::from_secs(30);

/// Which passage of a point: one of the first. A busy machine takes more orders in a call, so even a burst may
/// have few.
fn passage(dice: &mut Dice) -> u64 {
    3 + dice.roll(20)
}

/// The first gateway is killed at a point.
pub(super) fn first(dice: &mut Dice, point: &str) -> Faults {
    let at = passage(dice);
    Faults { gateways: [format!("{point}=kill@{at}"), String::new()], ..Faults::default() }
}

/// Waits for the gateway's end, and starts it again.
pub(super) async fn killed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.stack.gateway(0)?.until_gone(HIT_LIMIT).await?;
    stage.pause(0, 1500).await;
    stage.stack.start_gateway(0, "")
}

/// Everyone hangs up; every second one for good.
pub(super) fn hang_up(customer: &mut Customer) {
    customer.manner = if customer.gateway.is_multiple_of(2) { Manner::HungUp } else { Manner::Gone };
    // Both kinds at both gateways.
    customer.gateway /= 2;
}

/// The first gateway stands still at one of the points between reservation and answer.
pub(super) fn stopped_somewhere(dice: &mut Dice) -> Faults {
    let points = [
        "gateway.after_reserve",
        "gateway.after_produce",
        "gateway.before_acknowledgement",
        "gateway.before_answer",
    ];
    let point = points[dice.roll(points.len() as u64) as usize];
    let at = passage(dice);
    Faults { gateways: [format!("{point}=stop@{at}"), String::new()], ..Faults::default() }
}

/// While it stands still, Redis forgets the sale (mostly) and a new epoch begins to sell.
pub(super) async fn stopped_across_rebuild(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.stack.gateway(0)?.until_stopped(HIT_LIMIT).await?;
    let epoch = stage.epoch().await?.0;
    if stage.dice.roll(4) > 0 {
        stage.stack.redis.command::<String>(0, "FLUSHALL", &[]).await?;
    } else {
        stage.rebuild().await?;
    }
    stage.until_epoch_after(epoch).await?;
    stage.pause(0, 500).await;
    stage.stack.gateway(0)?.signal(Signal::CONT);
    Ok(())
}

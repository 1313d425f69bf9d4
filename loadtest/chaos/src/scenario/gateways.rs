//! Gateways that are killed or stopped at a step, and customers who hang up.

use std::time::Duration;

use stack::Signal;

use super::Stage;
use crate::stack::Faults;
use customers::population::{Customer, Persona};
use fastrand::Rng;

/// The longest wait until a fault point is reached.
const HIT_LIMIT: Duration = Duration::from_secs(30);

/// Returns the number of the passage at which a fault point triggers, one of the first: a busy machine puts
/// more orders into a call, so that a burst may have few calls.
fn passage(rng: &mut Rng) -> u64 {
    3 + rng.u64(0..20)
}

/// Kills the first gateway at a fault point.
pub(super) fn first(rng: &mut Rng, point: &str) -> Faults {
    let at = passage(rng);
    Faults { gateways: [format!("{point}=kill@{at}"), String::new()], ..Faults::default() }
}

/// Waits for the exit of the gateway and restarts it.
pub(super) async fn killed(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.stack.gateway(0)?.wait_for_exit(HIT_LIMIT).await?;
    stage.pause(0, 1500).await;
    stage.stack.start_gateway(0, "")
}

/// Makes every customer hang up, half of them forever.
pub(super) fn hang_up(customer: &mut Customer) {
    customer.persona = if customer.gateway.is_multiple_of(2) { Persona::HungUp } else { Persona::Gone };
    // Both kinds of customers at both gateways.
    customer.gateway /= 2;
}

/// Stops the first gateway at one of the steps between reservation and response.
pub(super) fn stopped_somewhere(rng: &mut Rng) -> Faults {
    let points = [
        "gateway.after_reserve",
        "gateway.after_produce",
        "gateway.before_acknowledgement",
        "gateway.before_answer",
    ];
    let point = points[rng.usize(0..points.len())];
    let at = passage(rng);
    Faults { gateways: [format!("{point}=stop@{at}"), String::new()], ..Faults::default() }
}

/// Makes Redis lose its state (mostly) while the gateway is stopped, until a new epoch sells.
pub(super) async fn stopped_across_rebuild(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    stage.stack.gateway(0)?.wait_until_stopped(HIT_LIMIT).await?;
    let epoch = stage.epoch().await?.0;
    if stage.rng.u32(0..4) > 0 {
        stage.stack.redis.command::<String>(0, "FLUSHALL", &[]).await?;
    } else {
        stage.rebuild().await?;
    }
    stage.wait_for_epoch_after(epoch).await?;
    stage.pause(0, 500).await;
    stage.stack.gateway(0)?.signal(Signal::CONT);
    Ok(())
}

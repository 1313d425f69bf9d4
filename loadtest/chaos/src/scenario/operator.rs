//! An operator who changes totals.

use super::Stage;
use customers::sales;

/// The highest number of changes.
const CHANGES: usize = 40;

/// Raises and lowers totals during the whole burst, and leaves them as they are. A change may be refused
/// because too few units are free, or have an unknown outcome; the checker handles both.
pub(super) async fn changes_totals(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut terms = sales::burst(super::DEFAULT.units);
    let until = tokio::time::Instant::now() + stage.duration;
    for _ in 0..CHANGES {
        if tokio::time::Instant::now() >= until {
            break;
        }
        let item = stage.rng.usize(0..2);
        let by = stage.rng.u64(0..120);
        if let Some(total) = terms.items.get_mut(item).and_then(|item| item.total.as_mut()) {
            *total = if stage.rng.bool() { *total + by } else { total.saturating_sub(by) };
        }
        let gateway = stage.rng.usize(0..2);
        stage.stack.admin(gateway)?.try_put(&stage.sale, &terms).await?;
        stage.pause(10, 200).await;
    }
    Ok(())
}

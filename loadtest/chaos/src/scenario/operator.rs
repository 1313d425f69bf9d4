//! An operator who changes their mind.

use super::Stage;
use customers::sales;

/// Changes of totals, at most.
const CHANGES: usize = 40;

/// Raises and lowers totals as long as the burst lasts, and leaves them where they are. A change may be
/// refused (too few are free) or have an outcome that is not known; the checker sees to the rest.
pub(super) async fn changes_totals(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let mut terms = sales::burst(super::ORDINARY.units);
    let until = tokio::time::Instant::now() + stage.lasts;
    for _ in 0..CHANGES {
        if tokio::time::Instant::now() >= until {
            break;
        }
        let item = stage.dice.roll(2) as usize;
        let by = stage.dice.roll(120);
        if let Some(total) = terms.items.get_mut(item).and_then(|item| item.total.as_mut()) {
            *total = if stage.dice.roll(2) == 0 { *total + by } else { total.saturating_sub(by) };
        }
        let gateway = stage.dice.roll(2) as usize;
        stage.stack.admin(gateway)?.try_put(&stage.sale, &terms).await?;
        stage.pause(10, 200).await;
    }
    Ok(())
}

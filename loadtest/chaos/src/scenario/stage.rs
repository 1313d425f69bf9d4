//! What a scenario acts on, and how it waits.

use std::time::{Duration, Instant};

use crate::stack::Stack;
use customers::crowd::Dice;

/// Longest wait for an operator's word to be taken.
const TAKEN_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for a rebuild.
const REBUILT_LIMIT: Duration = Duration::from_secs(60);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Programs, services and what lies between, in the hands of one scenario.
pub struct Stage<'s> {
    /// All that can be hit.
    pub stack: &'s mut Stack,
    /// Of this seed.
    pub dice: Dice,
    /// The sale.
    pub sale: String,
    /// How long the burst takes.
    pub lasts: Duration,
    /// Messages that may have been sent twice, because of what was done.
    pub doubles_allowed: u64,
}

impl Stage<'_> {
    /// A time between two.
    pub fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(least_ms + self.dice.roll(most_ms - least_ms + 1))
    }

    /// Waits for the moment at which it happens: some way into the burst.
    pub async fn moment(&mut self) {
        let whole = self.lasts.as_millis() as u64;
        let wait = self.between(whole / 5, whole * 3 / 5);
        tokio::time::sleep(wait).await;
    }

    /// Waits for a time between two.
    pub async fn pause(&mut self, least_ms: u64, most_ms: u64) {
        let wait = self.between(least_ms, most_ms);
        tokio::time::sleep(wait).await;
    }

    /// The operator asks for a rebuild, at whichever gateway takes the word.
    pub async fn rebuild(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            for gateway in [1, 0] {
                let asked = self.stack.admin(gateway)?.rebuild(&self.sale).await;
                match asked {
                    Ok(()) => return Ok(()),
                    Err(error) if begun.elapsed() >= TAKEN_LIMIT => return Err(error),
                    Err(_) => {}
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The newest epoch, and whether it sells.
    pub async fn epoch(&self) -> anyhow::Result<(i64, bool)> {
        let database = self.stack.database().await?;
        let stand = "SELECT epoch, ready FROM sale WHERE sale_id = $1";
        let row = database.query_one(stand, &[&self.sale]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Waits until a newer epoch sells.
    pub async fn until_epoch_after(&self, before: i64) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let (epoch, ready) = self.epoch().await?;
            if epoch > before && ready {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < REBUILT_LIMIT, "no rebuild within {REBUILT_LIMIT:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Which settler has the sale's partition: the one that counts its outbox.
    pub async fn owner(&mut self) -> anyhow::Result<usize> {
        let counted = format!("outbox_entries{{sale=\"{}\"}}", self.sale);
        let begun = Instant::now();
        loop {
            for n in 0..2 {
                let page = customers::admin::metrics(&self.stack.settlement_url(n)).await;
                if page.is_ok_and(|page| page.contains(&counted)) {
                    return Ok(n);
                }
            }
            anyhow::ensure!(begun.elapsed() < TAKEN_LIMIT, "no settler counts the sale's outbox");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a settler stands still by itself; `None`: none did.
    pub async fn owner_stopped(&mut self, limit: Duration) -> anyhow::Result<Option<usize>> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            for n in 0..2 {
                if self.stack.settlement(n)?.is_stopped() {
                    return Ok(Some(n));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(None)
    }
}

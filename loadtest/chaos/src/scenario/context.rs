//! What a scenario acts on, and how it waits.

use std::time::{Duration, Instant};

use crate::stack::Stack;
use customers::admin;
use fastrand::Rng;

/// The longest wait until a gateway accepts an operator's request.
const ACCEPTED_LIMIT: Duration = Duration::from_secs(30);
/// The longest wait for a rebuild.
const REBUILT_LIMIT: Duration = Duration::from_secs(60);
/// The polling interval.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// The stack and the state of one scenario.
pub struct Stage<'s> {
    /// The stack under test.
    pub stack: &'s mut Stack,
    /// The random numbers of the seed.
    pub rng: Rng,
    /// The sale's id.
    pub sale: String,
    /// The duration of the burst.
    pub duration: Duration,
    /// The number of messages that may have been sent twice because of the faults.
    pub duplicates_allowed: u64,
}

impl Stage<'_> {
    /// Returns a random duration between two.
    pub fn duration_between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(self.rng.u64(least_ms..=most_ms))
    }

    /// Waits for a random moment of the burst.
    pub async fn wait_into_burst(&mut self) {
        let whole = self.duration.as_millis() as u64;
        let wait = self.duration_between(whole / 5, whole * 3 / 5);
        tokio::time::sleep(wait).await;
    }

    /// Waits for a random duration between two.
    pub async fn pause(&mut self, least_ms: u64, most_ms: u64) {
        let wait = self.duration_between(least_ms, most_ms);
        tokio::time::sleep(wait).await;
    }

    /// Requests a rebuild at the first gateway that accepts the request.
    pub async fn rebuild(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            for gateway in [1, 0] {
                let result = self.stack.admin(gateway)?.rebuild(&self.sale).await;
                match result {
                    Ok(()) => return Ok(()),
                    Err(error) if begun.elapsed() >= ACCEPTED_LIMIT => return Err(error),
                    Err(_) => {}
                }
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Returns the newest epoch, and whether it is ready.
    pub async fn epoch(&self) -> anyhow::Result<(i64, bool)> {
        let database = self.stack.database().await?;
        let query = "SELECT epoch, ready FROM sale WHERE sale_id = $1";
        let row = database.query_one(query, &[&self.sale]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Waits until a newer epoch is ready.
    pub async fn wait_for_epoch_after(&self, before: i64) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let (epoch, ready) = self.epoch().await?;
            if epoch > before && ready {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < REBUILT_LIMIT, "no rebuild after {REBUILT_LIMIT:?}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Returns the number of the settlement that owns the sale's partition, which is the one that exports its
    /// outbox.
    pub async fn partition_owner(&mut self) -> anyhow::Result<usize> {
        let metric = format!("outbox_entries{{sale=\"{}\"}}", self.sale);
        let begun = Instant::now();
        loop {
            for n in 0..2 {
                let page = admin::fetch_metrics(&self.stack.settlement_url(n)).await;
                if page.is_ok_and(|page| page.contains(&metric)) {
                    return Ok(n);
                }
            }
            anyhow::ensure!(begun.elapsed() < ACCEPTED_LIMIT, "no settlement exports the sale's outbox");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Waits until a settlement has stopped at its fault point; `None` when none has.
    pub async fn wait_for_stopped_settlement(&mut self, limit: Duration) -> anyhow::Result<Option<usize>> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            for n in 0..2 {
                if self.stack.settlement(n)?.identity().is_stopped() {
                    return Ok(Some(n));
                }
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(None)
    }
}

//! The journal of an attempt: its current step in Postgres. Operators see it, and it is the heartbeat that keeps other
//! settlers from beginning another attempt. It is written concurrently to the attempt, which never waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contract::ids::Epoch;
use tokio::sync::watch;
use uuid::Uuid;

use super::RebuildTarget;
use crate::context::Context;
use crate::queries::NoteRebuild;
use crate::store::database::DatabaseError;

/// The interval of heartbeats.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(500);
/// An attempt without a heartbeat for this duration is dead, and another settler may begin the next epoch.
pub const DEAD_AFTER: Duration = Duration::from_secs(3);

/// The steps of an attempt, in order (ARCHITECTURE.md, "Rebuild").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // ARCHITECTURE.md describes each step
pub enum Step {
    Begin,
    Announce,
    Leases,
    Drain,
    Barrier,
    Settle,
    Items,
    Unlink,
    Snapshot,
    Scripts,
    Seal,
    Open,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 12] = [
        Self::Begin,
        Self::Announce,
        Self::Leases,
        Self::Drain,
        Self::Barrier,
        Self::Settle,
        Self::Items,
        Self::Unlink,
        Self::Snapshot,
        Self::Scripts,
        Self::Seal,
        Self::Open,
    ];

    /// Returns the name in the admin view.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Announce => "announce",
            Self::Leases => "leases",
            Self::Drain => "drain",
            Self::Barrier => "barrier",
            Self::Settle => "settle",
            Self::Items => "items",
            Self::Unlink => "unlink",
            Self::Snapshot => "snapshot",
            Self::Scripts => "scripts",
            Self::Seal => "seal",
            Self::Open => "open",
        }
    }
}

/// The journal of one attempt.
pub struct Journal {
    step: watch::Sender<Step>,
    orders: AtomicU64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { step: watch::channel(Step::Begin).0, orders: AtomicU64::new(0) }
    }
}

impl Journal {
    /// Records that the attempt has reached a step.
    pub fn set_step(&self, step: Step) {
        self.step.send_replace(step);
    }
    /// Records the number of orders that are written to Redis.
    pub fn set_orders(&self, orders: u64) {
        self.orders.store(orders, Ordering::Relaxed);
    }
    /// Subscribes to the current step.
    pub fn subscribe(&self) -> watch::Receiver<Step> {
        self.step.subscribe()
    }

    /// Writes each step, and heartbeats in between, to Postgres for as long as the future is polled.
    pub async fn report_progress(
        &self,
        context: &Context,
        target: &RebuildTarget,
        epoch: Epoch,
        owner: Uuid,
    ) {
        let mut steps = self.subscribe();
        loop {
            let step = *steps.borrow_and_update();
            if let Err(error) = self.write(context, target, epoch, owner, step).await {
                tracing::debug!(sale_id = %target.sale, %error, "could not write the progress of the rebuild");
            }
            // This waits for a change or the interval. The channel cannot close: `self` holds the sender.
            let _ = tokio::time::timeout(HEARTBEAT_EVERY, steps.changed()).await;
        }
    }

    async fn write(
        &self,
        context: &Context,
        target: &RebuildTarget,
        epoch: Epoch,
        owner: Uuid,
        step: Step,
    ) -> Result<(), DatabaseError> {
        let orders = match step {
            Step::Snapshot | Step::Scripts | Step::Seal | Step::Open => {
                Some(self.orders.load(Ordering::Relaxed) as i64)
            }
            _ => None,
        };
        let client = context.pool.get().await?;
        let update = NoteRebuild {
            sale_id: &target.sale,
            epoch,
            rebuild_by: owner,
            step: Some(step.as_str()),
            orders_written: orders,
        };
        update.execute(&client).await?;
        Ok(())
    }
}

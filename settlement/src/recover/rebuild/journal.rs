//! Where an attempt is, told to Postgres: for operators, and as the sign of life by which other settlers
//! leave it alone. Told beside the attempt, which never waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contract::ids::Epoch;
use tokio::sync::watch;
use uuid::Uuid;

use super::Due;
use crate::context::Context;
use crate::store::database::DatabaseError;

/// A sign of life so often.
const EVERY: Duration = Duration::from_millis(500);
/// Without one for so long, an attempt counts as dead and another settler may begin the next epoch.
pub const DEAD_AFTER: Duration = Duration::from_secs(3);

/// The steps, in order (ARCHITECTURE.md, "Rebuild").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // named after what is done
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
    /// All of them.
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

    /// The name in the admin view.
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

/// One attempt's journal.
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
    /// The attempt has come to a step.
    pub fn step(&self, step: Step) {
        self.step.send_replace(step);
    }
    /// So many orders are in Redis.
    pub fn wrote_orders(&self, orders: u64) {
        self.orders.store(orders, Ordering::Relaxed);
    }
    /// The step, to be watched.
    pub fn steps(&self) -> watch::Receiver<Step> {
        self.step.subscribe()
    }

    /// Tells Postgres of each step, and that the attempt lives, for as long as it is polled.
    pub async fn keep(&self, context: &Context, due: &Due, epoch: Epoch, by: Uuid) {
        let mut steps = self.steps();
        loop {
            let step = *steps.borrow_and_update();
            if let Err(error) = self.note(context, due, epoch, by, step).await {
                tracing::debug!(sale_id = %due.sale, %error, "the rebuild's progress is not shown");
            }
            // The sender is ours: a change or the time, whichever comes first.
            let _ = tokio::time::timeout(EVERY, steps.changed()).await;
        }
    }

    async fn note(
        &self,
        context: &Context,
        due: &Due,
        epoch: Epoch,
        by: Uuid,
        step: Step,
    ) -> Result<(), DatabaseError> {
        let orders = match step {
            Step::Snapshot | Step::Scripts | Step::Seal | Step::Open => {
                Some(self.orders.load(Ordering::Relaxed) as i64)
            }
            _ => None,
        };
        let client = context.pool.get().await?;
        let update = client.prepare_cached(include_str!("../../../queries/note_rebuild.sql")).await?;
        client
            .execute(&update, &[&due.sale.as_str(), &(epoch.0 as i64), &by, &step.as_str(), &orders])
            .await?;
        Ok(())
    }
}

//! A role that one process at a time has, as a row in Postgres that the holder renews. A lock of a session would last as
//! long as the session: for hours, if the holder is suspended or cut off.

use std::time::{Duration, Instant};

use deadpool_postgres::{Client, Pool};
use uuid::Uuid;

use crate::queries::{LeaveRole, TakeRole};
use crate::store::database::DatabaseError;

/// The interval at which the holder renews the role.
const RENEW_EVERY: Duration = Duration::from_millis(500);
/// A holder that has not renewed the role for this duration has lost it.
const STALE_AFTER: Duration = Duration::from_secs(3);

/// This process as the candidate for a role.
pub(super) struct Role {
    name: &'static str,
    holder: String,
    renewed_at: Option<Instant>,
}

impl Role {
    /// Creates a candidate. The holder's name contains the id of the process, for operators.
    pub(super) fn new(name: &'static str) -> Self {
        let holder = format!("{}-{}", std::process::id(), Uuid::new_v4().simple());
        Self { name, holder, renewed_at: None }
    }

    /// Takes or renews the role. Returns false if another process has it.
    pub(super) async fn take(&mut self, client: &Client) -> Result<bool, DatabaseError> {
        if self.renewed_at.is_some_and(|at| at.elapsed() < RENEW_EVERY) {
            return Ok(true);
        }
        let begun = Instant::now();
        let stale_ms = STALE_AFTER.as_millis() as f64;
        let take = TakeRole { name: self.name, holder: &self.holder, stale_ms };
        let is_held = take.execute(client).await? == 1;
        self.renewed_at = is_held.then_some(begun);
        Ok(is_held)
    }

    /// Gives the role up, so that another process can take it at once.
    pub(super) async fn leave(&mut self, pool: &Pool) {
        self.renewed_at = None;
        let left = async {
            let client = pool.get().await?;
            Ok::<_, DatabaseError>(
                LeaveRole { name: self.name, holder: &self.holder }.execute(&client).await?,
            )
        };
        if let Err(error) = left.await {
            tracing::debug!(%error, role = self.name, "the role ends when it is not renewed");
        }
    }
}

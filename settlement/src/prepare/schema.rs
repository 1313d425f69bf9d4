//! The schema. Each process brings it up to date when it starts; the first one does the work, the
//! others wait for it.

use std::ops::DerefMut;

use deadpool_postgres::Pool;

use crate::store::database::DatabaseError;

mod embedded {
    #![allow(missing_docs)]
    refinery::embed_migrations!("migrations");
}

/// Names the lock among all advisory locks of the database.
const LOCK: i64 = 0x666c_6173_6801;

/// Why the schema is not what it must be.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Postgres is away, or another process has held the lock for too long.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A migration failed, or the database was made by another version.
    #[error(transparent)]
    Migration(#[from] refinery::Error),
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Applies what is missing.
pub async fn migrate(pool: &Pool) -> Result<(), MigrateError> {
    let mut client = pool.get().await.map_err(DatabaseError::from)?;
    // The lock belongs to the session: whatever happens to this process, it is given back. The wait
    // for it ends with the pool's lock_timeout, and is begun again by the caller.
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let applied = embedded::migrations::runner().run_async(client.deref_mut().deref_mut()).await;
    let unlocked = client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await;
    if unlocked.is_err() {
        drop(deadpool_postgres::Object::take(client)); // ends the session, and the lock with it
    }
    let applied = applied?.applied_migrations().len();
    if applied > 0 {
        tracing::info!(applied, "migrated the schema");
    }
    Ok(())
}

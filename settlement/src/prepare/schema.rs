//! The migrations of the schema. Each process applies them when it starts: the first one does the work, and the others
//! wait for it.

use std::ops::DerefMut;

use deadpool_postgres::Pool;
use refinery_core::{Migration, Runner};

use crate::store::database::DatabaseError;

/// Lists the migrations by name, with their SQL. A macro of refinery would do the same from the folder, but costs the build
/// forty more crates.
macro_rules! migrations {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("../../migrations/", $name, ".sql")))),*] };
}

/// The migrations in their order.
const MIGRATIONS: [(&str, &str); 7] = migrations![
    "V1__schema",
    "V2__commands_and_dead_letters",
    "V3__rebuild_progress",
    "V4__lifecycle",
    "V5__notifications",
    "V6__analytics",
    "V7__bytewise_text",
];

fn runner() -> Result<Runner, refinery_core::Error> {
    let migrations: Result<Vec<_>, _> =
        MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    Ok(Runner::new(&migrations?))
}

/// The key of the advisory lock that serializes migrations.
const LOCK: i64 = 0x666c_6173_6801;

/// The error of a failed migration.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Postgres is down, or another process has held the lock for too long.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A migration failed, or the schema belongs to another version.
    #[error(transparent)]
    Migration(#[from] refinery_core::Error),
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Applies the migrations that are not applied yet.
pub async fn migrate(pool: &Pool) -> Result<(), MigrateError> {
    let runner = runner()?;
    let mut client = pool.get().await.map_err(DatabaseError::from)?;
    // The lock belongs to the session: it is released even if this process dies. The wait for it ends with the
    // pool's lock_timeout, and the caller retries.
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let applied = runner.run_async(client.deref_mut().deref_mut()).await;
    let unlocked = client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await;
    if unlocked.is_err() {
        drop(deadpool_postgres::Object::take(client)); // ends the session, which releases the lock
    }
    let applied = applied?.applied_migrations().len();
    if applied > 0 {
        tracing::info!(applied, "applied migrations of the schema");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_migration() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<String> = MIGRATIONS.iter().map(|(name, _)| format!("{name}.sql")).collect();
        assert_eq!(files, listed);
        assert_eq!(runner().unwrap().get_migrations().len(), MIGRATIONS.len());
    }
}

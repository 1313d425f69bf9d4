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
const MIGRATIONS: [(&str, &str); 9] = migrations![
    "V1__schema",
    "V2__commands_and_dead_letters",
    "V3__rebuild_progress",
    "V4__lifecycle",
    "V5__notifications",
    "V6__analytics",
    "V7__bytewise_text",
    "V8__dead_letter_generations",
    "V9__roles",
];

fn runner() -> Result<Runner, refinery_core::Error> {
    let migrations: Result<Vec<_>, _> =
        MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    // A newer version may have migrated the schema: its migrations leave it usable for this one.
    Ok(Runner::new(&migrations?).set_abort_missing(false))
}

/// The settings of a session that migrates. A migration takes as long as the tables are large; but it must not make
/// other sessions queue behind its wait for a table's lock, so it gives up soon and tries again.
const SESSION: &str =
    "SET statement_timeout = 0; SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = 0";

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
    apply(pool, &runner()?).await
}

/// Applies the migrations of this runner that are not applied yet.
pub async fn apply(pool: &Pool, runner: &Runner) -> Result<(), MigrateError> {
    let client = pool.get().await.map_err(DatabaseError::from)?;
    // The session is not returned to the pool: its settings are not those of the pool, and its end releases the lock.
    let mut client = deadpool_postgres::Object::take(client);
    // The wait for the lock ends with the pool's lock_timeout, and the caller retries.
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    client.batch_execute(SESSION).await?;
    let applied = runner.run_async(client.deref_mut()).await?.applied_migrations().len();
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

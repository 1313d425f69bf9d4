//! The pool of settlement's connections.

use deadpool_postgres::{Client, Pool, Transaction};
pub use process::postgres::DatabaseError;
use process::settings::Services;
use tokio_postgres::IsolationLevel;

/// Settings of every connection. A statement that takes longer is a fault. A process that stands still
/// inside a transaction must not keep its successor from the rows that it has locked. Nothing here is worth
/// compiling, and the plans of prepared statements do not depend on their arguments. They are made when the
/// tables are empty, and kept: each statement has its index, and must take it from the first row on.
const OPTIONS: &str = "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=5s \
     -c jit=off -c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c timezone=UTC";

/// Connections that are kept by one task each: the settle loop, the publisher of events, the publisher
/// of sales; and two for everything else.
const CONNECTIONS_MIN: usize = 5;

/// Builds the pool; it connects when it is first asked.
pub fn pool(services: &Services) -> Result<Pool, process::postgres::PoolError> {
    let size = services.database_pool_size;
    if size < CONNECTIONS_MIN {
        tracing::warn!(size, at_least = CONNECTIONS_MIN, "DATABASE_POOL_SIZE is too small: taking the least");
    }
    process::postgres::pool(&services.database_url, size.max(CONNECTIONS_MIN), "settlement", OPTIONS)
}

/// A transaction that sees one moment and changes nothing.
pub async fn snapshot(client: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let transaction = client.build_transaction();
    transaction.isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await
}

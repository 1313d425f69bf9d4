//! The pool of settlement's connections to Postgres.

use deadpool_postgres::{Client, Pool, Transaction};
pub use process::postgres::DatabaseError;
use process::settings::Services;
use tokio_postgres::IsolationLevel;

/// Options of every connection. A statement that exceeds its timeout is a fault. A process that stalls inside a
/// transaction must not keep its successor from the rows that it has locked. No statement is worth compiling just in
/// time, and the plans of prepared statements do not depend on their arguments. They are made when the tables are
/// empty, and cached: each statement has its index, and must use it from the first row on.
const OPTIONS: &str = "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=5s \
     -c jit=off -c enable_seqscan=off -c plan_cache_mode=force_generic_plan -c timezone=UTC";

/// Three tasks keep a connection each (the settle loop, the publisher of events, the publisher of sales); all others
/// share two.
const CONNECTIONS_MIN: usize = 5;

/// Builds the pool. It connects when the first connection is requested.
pub fn pool(services: &Services) -> Result<Pool, process::postgres::PoolError> {
    let size = services.database_pool_size;
    if size < CONNECTIONS_MIN {
        tracing::warn!(
            size,
            at_least = CONNECTIONS_MIN,
            "DATABASE_POOL_SIZE is too small: using the minimum"
        );
    }
    process::postgres::pool(&services.database_url, size.max(CONNECTIONS_MIN), "settlement", OPTIONS)
}

/// Begins a read-only transaction that sees a single snapshot.
pub async fn snapshot(client: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let transaction = client.build_transaction();
    transaction.isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await
}

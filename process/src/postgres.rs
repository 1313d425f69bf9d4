//! The Postgres connection pool, and errors that include their causes.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::{Config, NoTls};

/// The error of a pool that cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// `DATABASE_URL` is not a Postgres URL.
    #[error("DATABASE_URL: {0}")]
    Url(#[from] tokio_postgres::Error),
    /// The pool's settings are invalid.
    #[error(transparent)]
    Build(#[from] deadpool_postgres::BuildError),
}

/// Creates a pool, which connects on first use. `application` is its name in `pg_stat_activity`; `options` are server
/// settings of each connection, as in `-c name=value`.
pub fn pool(url: &str, size: usize, application: &str, options: &str) -> Result<Pool, PoolError> {
    let mut config = Config::from_str(url)?;
    config
        .application_name(application)
        .connect_timeout(Duration::from_secs(2))
        .tcp_user_timeout(Duration::from_secs(5))
        .keepalives_idle(Duration::from_secs(10));
    if !options.is_empty() {
        config.options(options);
    }
    let manager =
        Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    let timeouts = Timeouts {
        wait: Some(Duration::from_secs(2)),
        create: Some(Duration::from_secs(3)),
        recycle: Some(Duration::from_secs(2)),
    };
    Ok(Pool::builder(manager).max_size(size).timeouts(timeouts).runtime(Runtime::Tokio1).build()?)
}

/// The error of a database operation.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The pool has no connection.
    #[error("no connection: {}", chain(.0))]
    Pool(#[from] deadpool_postgres::PoolError),
    /// A statement failed.
    #[error("{}", chain(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// A row contains data that this code cannot have written.
    #[error("{0}")]
    Invalid(String),
}

/// Formats an error with its causes, because tokio-postgres' own message is only "db error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

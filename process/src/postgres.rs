//! The pool of connections to Postgres, and errors with their cause in one line.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::{Config, NoTls};

/// A URL that is none, or a pool that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// `DATABASE_URL` is not a Postgres URL.
    #[error("DATABASE_URL: {0}")]
    Url(#[from] tokio_postgres::Error),
    /// The pool's own settings.
    #[error(transparent)]
    Build(#[from] deadpool_postgres::BuildError),
}

/// A pool that connects when it is first asked. `application`: how it appears in `pg_stat_activity`.
/// `options`: server settings of each connection, as in `-c name=value`.
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

/// Why Postgres did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection.
    #[error("no connection: {}", chain(.0))]
    Pool(#[from] deadpool_postgres::PoolError),
    /// A statement failed.
    #[error("{}", chain(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// A row that this code cannot have written.
    #[error("{0}")]
    Invalid(String),
}

/// An error and its causes: tokio-postgres says only "db error" by itself.
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

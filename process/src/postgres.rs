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

/// The server ends a session whose client does not respond within some 15 seconds. A session may hold locks; without this,
/// those of a client that has lost its power or its network last for hours.
const SERVER_KEEPALIVES: &str = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3 \
     -c tcp_user_timeout=10000";

/// Creates a pool, which connects on first use. `application` is its name in `pg_stat_activity`; `options` are server
/// settings of each connection, as in `-c name=value`.
pub fn pool(url: &str, size: usize, application: &str, options: &str) -> Result<Pool, PoolError> {
    let mut config = Config::from_str(url)?;
    config
        .application_name(application)
        .connect_timeout(Duration::from_secs(2))
        .tcp_user_timeout(Duration::from_secs(5))
        .keepalives_idle(Duration::from_secs(10));
    config.options(format!("{SERVER_KEEPALIVES} {options}"));
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

/// Checks that Postgres responds.
pub async fn ping(pool: &Pool) -> Result<(), DatabaseError> {
    pool.get().await?.simple_query("SELECT 1").await?;
    Ok(())
}

/// The class of a Postgres error, by which a caller decides whether a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The connection failed, the server lacks a resource or is stopping, or the transaction lost a race or a lock (no
    /// SQLSTATE, or SQLSTATE classes 08, 40, 53, 55 and 57). A retry can succeed.
    Transient,
    /// A value is invalid (SQLSTATE class 22). A retry with the same value fails again.
    InvalidValue,
    /// A row violates a constraint (SQLSTATE class 23). A retry with the same row fails again.
    ConstraintViolation,
    /// The statement, the schema or a permission is wrong (any other SQLSTATE).
    Fault,
}

impl ErrorClass {
    /// Returns the class of an error of a statement or of its connection.
    pub fn classify(error: &tokio_postgres::Error) -> Self {
        Self::from_sqlstate(error.code().map(tokio_postgres::error::SqlState::code))
    }

    fn from_sqlstate(code: Option<&str>) -> Self {
        match code.and_then(|code| code.get(..2)) {
            None | Some("08" | "40" | "53" | "55" | "57") => Self::Transient,
            Some("22") => Self::InvalidValue,
            Some("23") => Self::ConstraintViolation,
            Some(_) => Self::Fault,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::ErrorClass;

    #[test]
    fn an_error_is_classified_by_its_sqlstate() {
        let transient = [None, Some("08006"), Some("40001"), Some("53300"), Some("55P03"), Some("57P01")];
        for code in transient {
            assert_eq!(ErrorClass::from_sqlstate(code), ErrorClass::Transient, "{code:?}");
        }
        assert_eq!(ErrorClass::from_sqlstate(Some("22003")), ErrorClass::InvalidValue);
        assert_eq!(ErrorClass::from_sqlstate(Some("23505")), ErrorClass::ConstraintViolation);
        for code in ["42P01", "25006", "XX000"] {
            assert_eq!(ErrorClass::from_sqlstate(Some(code)), ErrorClass::Fault, "{code}");
        }
    }
}

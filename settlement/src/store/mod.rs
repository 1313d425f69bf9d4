//! Storing a batch in Postgres.
//!
//! | module             | what it does                                                              |
//! |--------------------|---------------------------------------------------------------------------|
//! | [`database`]       | configures the connection pool                                            |
//! | [`insert_rows`] | collects new rows as columns                                              |
//! | [`upsert_rows`]    | writes the rows of orders that changed                                    |
//! | [`transaction`]    | commits a batch: the compare-and-set of the position, and all its effects |

pub mod database;
pub mod insert_rows;
pub mod transaction;
pub mod upsert_rows;

use contract::timestamp::Timestamp;
use process::postgres::ErrorClass;
use tokio_postgres::error::SqlState;

use self::database::DatabaseError;

/// The error of a batch that was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A transient failure: no connection, a failed statement, or a commit whose outcome is unknown.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The stored position differs from the cached one.
    #[error("another owner has settled from this position, or the cached position is stale")]
    Fenced,
    /// The batch does not begin at the position. The consumer ensures that it does, so this is a bug.
    #[error("the batch begins at offset {found}, expected {expected}")]
    OutOfPlace {
        /// The stored position.
        expected: i64,
        /// The offset at which the batch begins.
        found: i64,
    },
    /// A constraint or a type of Postgres rejected the content of a record.
    #[error("Postgres rejected the batch: {0}")]
    Refused(String),
    /// Postgres rejected a dead letter. The partition waits until it accepts it, because no record is skipped.
    #[error("Postgres rejected a dead letter: {0}")]
    LetterRefused(String),
    /// Another partition has spent from the same wallet since it was read. The batch is decided again.
    #[error("a wallet was debited concurrently")]
    WalletMoved,
    /// An event sequence is already stored. Event sequences have a single writer, so this is a bug.
    #[error("duplicate event sequence: {0}")]
    DoubledSequence(String),
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(cause) = error.as_db_error() else { return Self::Database(error.into()) };
        let violated = [SqlState::CHECK_VIOLATION, SqlState::UNIQUE_VIOLATION].contains(cause.code());
        let is_invalid = ErrorClass::classify(&error) == ErrorClass::InvalidValue;
        match cause.table() {
            Some("wallet") if violated => Self::WalletMoved,
            Some("order_event" | "stock_release") if violated => Self::DoubledSequence(cause.to_string()),
            _ if violated || is_invalid => Self::Refused(cause.to_string()),
            _ => Self::Database(error.into()),
        }
    }
}

/// The positions at which a batch begins and ends, and the time at which it is settled.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the columns of log_position
pub struct BatchSpan {
    pub partition: i32,
    pub from_offset: i64,
    pub from_seq: i64,
    pub to_offset: i64,
    pub to_seq: i64,
    /// The time that all rows of the batch record.
    pub at: Timestamp,
}

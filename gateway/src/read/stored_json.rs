//! JSON columns that a query has assembled in Postgres.

use contract::problem::Code;
use contract::wire;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio_postgres::types::Json;

use crate::http::problem::Problem;

/// A JSON column, not decoded yet: what cannot be decoded fails one row, not the query.
pub(crate) type StoredJson = Json<Box<RawValue>>;

/// Decodes a column.
pub(crate) fn decode<T: DeserializeOwned>(stored: &StoredJson, column: &str) -> Result<T, Problem> {
    wire::decode(stored.0.get().as_bytes()).map_err(|error| {
        tracing::error!(%error, column, "JSON column from Postgres cannot be decoded");
        corrupt(column)
    })
}

/// Decodes a column that may be null.
pub(crate) fn decode_optional<T: DeserializeOwned>(
    stored: Option<&StoredJson>,
    column: &str,
) -> Result<Option<T>, Problem> {
    stored.map(|stored| decode(stored, column)).transpose()
}

/// Returns the refusal where a stored row contains a value that this version does not know.
pub(crate) fn corrupt(what: &str) -> Problem {
    tracing::error!(what, "stored row contains an invalid value");
    Code::Internal.into()
}

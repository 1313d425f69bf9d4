//! Generates typed Rust for SQL files.
//!
//! Each file under a program's `queries/` holds one statement with named parameters (`:sale_id`) and, above it, the
//! reasons for its conditions. The generator prepares the statement on a database with the current schema and emits one
//! struct for its parameters and one for its rows into the program's `src/queries.rs`. The generated file is committed;
//! the test `tests/queries.rs` fails when it no longer matches the schema or the SQL.
//!
//! | module | what it does |
//! |---|---|
//! | [`query`] | reads a SQL file: documentation, annotations, named parameters |
//! | [`types`] | maps a Postgres type and a name to a Rust type |
//! | [`emit`] | writes the Rust source |
//!
//! Annotations are comment lines of a file's header:
//!
//! | annotation | meaning |
//! |---|---|
//! | `-- @returns one` (`optional`, `many`, `stream`) | how many rows a caller expects; required where a statement returns columns |
//! | `-- @nullable reason, emails[]` | parameters and columns that may be null, and arrays whose elements may be null |
//! | `-- @type status = contract::payment::PaymentStatus` | the Rust type of a parameter or column that its name does not determine |
//! | `-- @columns OrderColumns` | collects the array parameters in a struct of vectors, shared by all queries that give the same name; `OrderValues` is one row of it |
//! | `-- @row StoredOrder` | the name of the row struct, shared by all queries that give the same name; what one of them says about a column holds for all |

pub mod emit;
pub mod query;
pub mod types;

use tokio_postgres::{Client, Column};

/// Why no source could be generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("{0}: {1}")]
    Read(std::path::PathBuf, std::io::Error),
    /// A file does not follow the conventions of the crate's documentation.
    #[error("{0}: {1}")]
    Invalid(String, String),
    /// Postgres refused a statement.
    #[error("{0}: {1}: {2}")]
    Prepare(String, tokio_postgres::Error, String),
}

/// Generates the source of all queries in `files` (name and text), in the order of their names.
pub async fn generate(client: &Client, files: &[(String, String)]) -> Result<String, Error> {
    let queries = files.iter().map(|(name, text)| query::Query::parse(name, text));
    let queries = queries.collect::<Result<Vec<_>, _>>()?;
    let mut described = Vec::new();
    for query in &queries {
        let statement = client.prepare(&query.sql).await.map_err(|error| {
            let detail = error.as_db_error().map(ToString::to_string).unwrap_or_default();
            Error::Prepare(query.name.clone(), error, detail)
        })?;
        let query = with_shared_annotations(query, &queries, statement.columns());
        described.push(types::describe(query, statement.params(), statement.columns())?);
    }
    emit::source(&described)
}

/// Adds what the other queries with the same `@row` say about its columns.
fn with_shared_annotations(query: &query::Query, all: &[query::Query], columns: &[Column]) -> query::Query {
    let mut query = query.clone();
    let sharing = all.iter().filter(|other| query.row.is_some() && other.row == query.row);
    for (other, column) in sharing.flat_map(|other| columns.iter().map(move |column| (other, column.name())))
    {
        if other.nullable.contains(column) {
            query.nullable.insert(column.to_owned());
        }
        if let Some(rust) = other.types.get(column) {
            query.types.entry(column.to_owned()).or_insert_with(|| rust.clone());
        }
    }
    query
}

//! The OpenAPI 3.1 documents. They are generated from the types that handlers read and write, and from the endpoints'
//! declarations, so that neither can change without the documents. A test compares them with the golden files
//! `openapi/*.json`, so that a change of the API shows in a diff, and `tests/openapi.rs` compares them with a
//! running gateway.
//!
//! | file | contents |
//! |---|---|
//! | [`document`] | a whole document |
//! | [`operation`] | the builder of one operation |
//! | [`schemas`] | the schemas of the types as serde writes and reads them |
//! | [`problem`] | the schema of every problem document |

pub(crate) mod document;
pub(crate) mod operation;
mod problem;
mod schemas;
#[cfg(test)]
mod tests;

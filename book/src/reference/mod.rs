//! The reference: pages that programs write from their own sources, so that they cannot say anything else. `./dev docs`
//! writes them; `tests/reference.rs` compares.
//!
//! | page | comes from |
//! |---|---|
//! | `public-api.md`, `admin-api.md` | `gateway/openapi/` |
//! | `metrics.md` | the lists by which the programs describe them (`described.rs` of each) |
//! | `flashsale.md` | `flashsale help` |
//! | `settings.md` | the programs' own command lines (`settings.rs` of each) |
//! | `errors.md` | `contract::problem` |
//! | `event-data.md` | `contract/schemas/`, `contract/fixtures/` |
//! | `dev.md` | `./dev help` |

mod command_line;
mod dev;
mod errors;
mod event_data;
mod http_api;
mod metrics;
pub mod settings;

use std::path::{Path, PathBuf};

/// A source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file's JSON.
    #[error("{}: {source}", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A program that tells about itself.
    #[error("{program}: {complaints}")]
    Program {
        /// Which.
        program: String,
        /// What it said.
        complaints: String,
    },
}

/// Every written page: its path from the repository's root, and its text.
pub fn pages(root: &Path) -> Result<Vec<(PathBuf, String)>, ReferenceError> {
    let page = |name: &str, text: String| (Path::new("docs/reference").join(name), text);
    Ok(vec![
        page("public-api.md", http_api::public(root)?),
        page("admin-api.md", http_api::admin(root)?),
        page("metrics.md", metrics::page()),
        page("settings.md", settings::page()),
        page("errors.md", errors::page()),
        page("event-data.md", event_data::page(root)?),
        page("flashsale.md", command_line::page()?),
        page("dev.md", dev::page(root)?),
    ])
}

/// Writes those that differ, and tells which.
pub fn write(root: &Path) -> Result<Vec<PathBuf>, ReferenceError> {
    let mut written = Vec::new();
    for (path, text) in pages(root)? {
        let file = root.join(&path);
        if std::fs::read_to_string(&file).is_ok_and(|there| there == text) {
            continue;
        }
        std::fs::write(&file, text).map_err(|source| ReferenceError::File { path: file, source })?;
        written.push(path);
    }
    Ok(written)
}

/// At the top of each, for whoever is about to edit it.
fn head(title: &str, source: &str) -> String {
    format!("# {title}\n\n<!-- Written by ./dev docs from {source}. Edits are lost. -->\n\n")
}

/// A text inside of a table's cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

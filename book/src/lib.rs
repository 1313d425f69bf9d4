//! Tests of the documentation: its commands are run, its data is parsed, its links are checked.
//!
//! | module | contents |
//! |---|---|
//! | [`page`] | pages and their fenced blocks |
//! | [`kind`] | the kind of a block, which determines how it is tested |
//! | [`expect`] | the comparison of expected and actual output, with `…` as a wildcard |
//! | [`shell`] | the shell of a page, in which its blocks are run one after another |
//! | [`site`] | the site, built by mdBook |
//! | [`reference`] | pages that are generated from their sources |
//! | [`links`] | broken links, in the sources and in the site |
//!
//! `tests/commands.rs` runs every command on a running system; `tests/pages.rs` checks everything that needs none;
//! `tests/reference.rs` compares the generated pages with their sources. No program depends on this crate, so that a release
//! build does not build it.

pub mod expect;
pub mod kind;
pub mod links;
pub mod page;
pub mod reference;
pub mod shell;
pub mod site;

use std::path::{Path, PathBuf};

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

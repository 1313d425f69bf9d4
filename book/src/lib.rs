//! The documentation as something that can be wrong, and is then found out.
//!
//! | module | what it does |
//! |---|---|
//! | [`page`] | the pages, and the fenced blocks in them |
//! | [`kind`] | what a block is, and so what is done with it |
//! | [`expect`] | an output as a page shows it, with `…` where it may differ, against a real one |
//! | [`shell`] | one page's shell, in which its blocks are typed one after another |
//! | [`site`] | the site, by mdBook |
//! | [`reference`] | pages that are written from their sources |
//! | [`links`] | links that lead nowhere, in the sources and in the site |
//!
//! Tests: `tests/commands.rs` runs every command on a running system; `tests/pages.rs` looks at everything that needs
//! none; `tests/reference.rs` compares the written pages with their sources. No program is built from this crate, so nobody who only wants to sell waits for it.

pub mod expect;
pub mod kind;
pub mod links;
pub mod page;
pub mod reference;
pub mod shell;
pub mod site;

use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

//! `./dev docs`: generates the reference from its sources, and builds the site.

use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let root = book::root();
    let destination = std::env::args_os().nth(1).map_or_else(|| root.join(".dev/book"), PathBuf::from);
    for page in book::reference::write(&root)? {
        println!("updated: {}", page.display());
    }
    book::site::build(&root, &destination)?;
    println!("{}", destination.join("index.html").display());
    Ok(())
}

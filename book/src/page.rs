//! The pages, and the fenced blocks in them.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Extensions that the pages use, here as in mdBook and at code hosts.
pub const MARKDOWN: Options =
    Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH).union(Options::ENABLE_GFM);

/// A Markdown file.
#[derive(Debug)]
pub struct Page {
    /// From the repository's root.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where its first line stands, counted from 1.
    pub line: usize,
    /// What stands behind the fence.
    pub info: String,
    /// What stands between the fences.
    pub body: String,
    /// Nothing but blank lines between it and the block before it.
    pub follows: bool,
}

impl Page {
    /// Reads one.
    pub fn read(root: &Path, path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), text: std::fs::read_to_string(root.join(path))? })
    }

    /// Its fenced blocks. Indented ones have no language, so nobody could tell what to do with them: they count as
    /// fenced ones without.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        let mut end_of_last = None;
        for (event, range) in Parser::new_ext(&self.text, MARKDOWN).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.trim().to_owned(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    let follows =
                        end_of_last.is_some_and(|end: usize| self.text[end..range.start].trim().is_empty());
                    let line = self.text[..range.start].matches('\n').count() + 2;
                    open = Some(Block { line, info, body: String::new(), follows });
                }
                Event::Text(text) => {
                    if let Some(block) = &mut open {
                        block.body.push_str(&text);
                    }
                }
                Event::End(TagEnd::CodeBlock) => {
                    blocks.extend(open.take());
                    end_of_last = Some(range.end);
                }
                _ => {}
            }
        }
        blocks
    }
}

/// Pages outside of `docs/` that people are led to.
const FRONT: [&str; 6] =
    ["README.md", "README.ko.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "model/README.md"];

/// Every page: those at the front, and all in `docs/`, in the order of their names.
pub fn pages(root: &Path) -> std::io::Result<Vec<Page>> {
    let mut paths: Vec<PathBuf> = FRONT.iter().map(PathBuf::from).collect();
    let mut folders = vec![PathBuf::from("docs")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    paths.extend(found);
    paths.iter().map(|path| Page::read(root, path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_lines_and_neighbours() {
        let text = "# A\n\n```sh docker\necho\n```\n\n```text output\nb\n```\nword\n\n    indented\n";
        let blocks = Page { path: "a.md".into(), text: text.into() }.blocks();
        let seen: Vec<_> =
            blocks.iter().map(|b| (b.line, b.info.as_str(), b.body.as_str(), b.follows)).collect();
        assert_eq!(
            seen,
            [
                (4, "sh docker", "echo\n", false),
                (8, "text output", "b\n", true),
                (13, "", "indented\n", false)
            ]
        );
    }
}

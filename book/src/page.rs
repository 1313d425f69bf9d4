//! Pages and their fenced blocks.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The Markdown extensions that mdBook and code hosts support, too.
pub const MARKDOWN: Options =
    Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH).union(Options::ENABLE_GFM);

/// A page of the documentation.
#[derive(Debug)]
pub struct Page {
    /// The path, relative to the root of the repository.
    pub path: PathBuf,
    /// The text of the page.
    pub text: String,
}

/// A fenced code block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The number of its first line, counted from 1.
    pub line: usize,
    /// The words after the opening fence.
    pub info: String,
    /// The text between the fences.
    pub body: String,
    /// Whether only blank lines separate it from the previous block.
    pub follows: bool,
}

impl Page {
    /// Reads a page.
    pub fn read(root: &Path, path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), text: std::fs::read_to_string(root.join(path))? })
    }

    /// Returns the code blocks. An indented block counts as a fenced one without a language, which is an error.
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

/// The pages outside of `docs/`.
const TOP_LEVEL: [&str; 6] =
    ["README.md", "README.ko.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "model/README.md"];

/// Reads all pages: the top-level ones, and those in `docs/` in alphabetical order.
pub fn pages(root: &Path) -> std::io::Result<Vec<Page>> {
    let mut paths: Vec<PathBuf> = TOP_LEVEL.iter().map(PathBuf::from).collect();
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

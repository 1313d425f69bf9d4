//! The tracked files, and what of them is text to be checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lexer::{Kind, Token, tokens};

/// The files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// `git` could not list the tracked files.
    #[error("cannot list the tracked files with git: {0}")]
    Git(String),
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The list of exceptions is not valid.
    #[error("{}: {source}", path.display())]
    Allow {
        /// The path of the list.
        path: PathBuf,
        /// The error of the parser.
        source: toml::de::Error,
    },
}

/// Endings of files that hold text which people write.
const ENDINGS: [&str; 18] = [
    "rs",
    "lua",
    "sql",
    "js",
    "py",
    "sh",
    "md",
    "toml",
    "yml",
    "css",
    "html",
    "env",
    "json",
    "expected",
    "conf",
    "properties",
    "service",
    "example",
];

/// Files without an ending that hold text which people write.
const NAMES: [&str; 3] = ["dev", "run", "Dockerfile"];

/// Parts of paths that are left out: others write the first two, fixtures must never change, and a program writes the
/// dashboards from sources that are checked.
const LEFT_OUT: [&str; 4] =
    ["/vendor/", "/browser/package-lock.json", "contract/fixtures/", "grafana/dashboards/"];

/// Returns the paths of all tracked files that exist, relative to the root.
pub fn tracked_files(root: &Path) -> Result<BTreeSet<String>, SourceError> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let output = output.map_err(|error| SourceError::Git(error.to_string()))?;
    if !output.status.success() {
        return Err(SourceError::Git(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let listed = String::from_utf8_lossy(&output.stdout);
    Ok(listed.split_terminator('\0').filter(|path| root.join(path).is_file()).map(str::to_owned).collect())
}

/// A text file to be checked.
#[derive(Debug)]
pub struct Source {
    /// The path, relative to the root of the repository.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Reads a file, unless it is not one to be checked.
    pub fn read(root: &Path, path: &str) -> Result<Option<Self>, SourceError> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let is_text = ENDINGS.contains(&ending) || NAMES.contains(&name);
        let is_left_out = LEFT_OUT.iter().any(|part| format!("/{path}").contains(part));
        if !is_text || is_left_out {
            return Ok(None);
        }
        let file = root.join(path);
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some(Self { path: path.to_owned(), text })),
            Err(source) => Err(SourceError::File { path: file, source }),
        }
    }

    /// Returns whether this is a Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Returns whether this is a Markdown document.
    pub fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// Returns the tokens of a Rust source; of another file none.
    pub fn tokens(&self) -> Vec<Token<'_>> {
        if self.is_rust() { tokens(&self.text) } else { Vec::new() }
    }

    /// Returns the passages that people read, each with its first line: comments and strings of a Rust source, the whole
    /// of another file. Line comments below each other are one passage, so that a phrase is found across a line's end.
    pub fn passages(&self) -> Vec<Passage> {
        if !self.is_rust() {
            return vec![Passage { line: 1, text: self.text.clone(), is_comment: false }];
        }
        let mut passages: Vec<Passage> = Vec::new();
        let mut open: Option<(Kind, usize)> = None;
        for token in self.tokens() {
            let is_comment = matches!(token.kind, Kind::Comment | Kind::OuterDoc | Kind::InnerDoc);
            match (&mut open, passages.last_mut()) {
                (Some((kind, last)), Some(passage))
                    if *kind == token.kind && is_comment && token.line == *last + 1 =>
                {
                    passage.text.push('\n');
                    passage.text.push_str(token.text);
                    *last = token.line + token.text.matches('\n').count();
                }
                _ if is_comment || token.kind == Kind::Text => {
                    passages.push(Passage { line: token.line, text: token.text.to_owned(), is_comment });
                    open = Some((token.kind, token.line + token.text.matches('\n').count()));
                }
                _ => open = None,
            }
        }
        passages
    }

    /// Returns the number of lines that hold a comment, in a Rust source.
    pub fn comment_lines(&self) -> usize {
        let comments = self.tokens();
        let comments = comments
            .iter()
            .filter(|token| matches!(token.kind, Kind::Comment | Kind::OuterDoc | Kind::InnerDoc));
        comments.map(|token| token.text.matches('\n').count() + 1).sum()
    }
}

/// A text that people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The first line, counted from 1.
    pub line: usize,
    /// The text without delimiters.
    pub text: String,
    /// Whether it is a comment of a Rust source.
    pub is_comment: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_comments_below_each_other_are_one_passage() {
        let text = "// it goes\n// on\nlet a = \"b\";\n// c\n".to_owned();
        let source = Source { path: "a.rs".into(), text };
        let passages: Vec<_> =
            source.passages().into_iter().map(|p| (p.line, p.text, p.is_comment)).collect();
        assert_eq!(
            passages,
            [(1, " it goes\n on".into(), true), (3, "b".into(), false), (4, " c".into(), true)]
        );
        assert_eq!(source.comment_lines(), 3);
    }
}

//! What is wrong with a definition, shown where it stands.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};

/// A fault at its place.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// The file's name, and what it says.
    pub(super) source: Arc<Source>,
    /// In bytes.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) what: String,
    /// What would be right.
    pub(super) help: Option<String>,
}

/// A file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

impl Fault {
    /// As compilers show it: the file, the line, and a caret below what is wrong.
    pub(crate) fn drawn(&self, coloured: bool) -> String {
        let Source { name, text } = &*self.source;
        let snippet = Snippet::source(text.as_str()).path(name.as_str());
        let snippet = snippet.annotation(AnnotationKind::Primary.span(self.shown_span()));
        let mut group = Level::ERROR.primary_title(self.what.as_str()).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(DEFAULT_TERM_WIDTH).render(&[group])
    }

    /// A fault of several lines is shown on its first one.
    fn shown_span(&self) -> Range<usize> {
        let text = &self.source.text;
        let start = self.span.start.min(text.len());
        let end = self.span.end.clamp(start, text.len());
        let line = text[start..end].find('\n').map_or(end, |at| start + at);
        start..line
    }

    /// The line and the column (in characters), from 1.
    fn place(&self) -> (usize, usize) {
        let before = &self.source.text[..self.shown_span().start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// For programs.
    pub(crate) fn as_json(&self) -> Value {
        let (line, column) = self.place();
        let mut fault =
            json!({ "file": self.source.name, "line": line, "column": column, "message": self.what });
        if let Some(help) = &self.help {
            fault["help"] = help.as_str().into();
        }
        fault
    }
}

//! Faults of a definition file, with their positions.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};

/// A fault and its position in the file.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// The name and the text of the file.
    pub(super) source: Arc<Source>,
    /// The position in bytes.
    pub(super) span: Range<usize>,
    /// The message: what is wrong.
    pub(super) what: String,
    /// A suggestion what would be right.
    pub(super) help: Option<String>,
}

/// A definition file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

impl Fault {
    /// Renders the fault as compilers do: the file, the line, and carets below the faulty part.
    pub(crate) fn render(&self, coloured: bool) -> String {
        let Source { name, text } = &*self.source;
        let snippet = Snippet::source(text.as_str()).path(name.as_str());
        let snippet = snippet.annotation(AnnotationKind::Primary.span(self.first_line_span()));
        let mut group = Level::ERROR.primary_title(self.what.as_str()).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(DEFAULT_TERM_WIDTH).render(&[group])
    }

    /// Returns the part of the span on its first line.
    fn first_line_span(&self) -> Range<usize> {
        let text = &self.source.text;
        let start = self.span.start.min(text.len());
        let end = self.span.end.clamp(start, text.len());
        let line = text[start..end].find('\n').map_or(end, |at| start + at);
        start..line
    }

    /// Returns the line and the column (in characters), both counted from 1.
    fn position(&self) -> (usize, usize) {
        let before = &self.source.text[..self.first_line_span().start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Returns the JSON for programs.
    pub(crate) fn as_json(&self) -> Value {
        let (line, column) = self.position();
        let mut fault =
            json!({ "file": self.source.name, "line": line, "column": column, "message": self.what });
        if let Some(help) = &self.help {
            fault["help"] = help.as_str().into();
        }
        fault
    }
}

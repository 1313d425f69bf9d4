//! Splits Rust sources into comments, strings, names and punctuation: as much of the language as the rules need.

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A comment for readers of the source: `//` or `/* */`.
    Comment,
    /// A doc comment of the item that follows: `///`.
    OuterDoc,
    /// A doc comment of the module: `//!`.
    InnerDoc,
    /// A string literal of any form.
    Text,
    /// A name or a keyword.
    Name,
    /// A single character of punctuation, or a part of a number.
    Mark,
}

/// A part of a Rust source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    /// The kind of the token.
    pub kind: Kind,
    /// The text: of comments and strings without their delimiters.
    pub text: &'a str,
    /// The line on which the token begins, counted from 1.
    pub line: usize,
}

impl Token<'_> {
    /// Returns whether this is the given punctuation mark or name.
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Name | Kind::Mark) && self.text == text
    }
}

/// Splits a source into tokens. White space, characters and lifetimes are left out.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { source, at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < source.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Moves on by `length` bytes, and keeps the given part of them as a token.
    fn take(&mut self, length: usize, kind: Option<Kind>, skip_start: usize, skip_end: usize) {
        let whole = &self.source[self.at..self.at + length];
        if let Some(kind) = kind {
            let text = &whole[skip_start..length - skip_end];
            self.tokens.push(Token { kind, text, line: self.line });
        }
        self.line += whole.matches('\n').count();
        self.at += length;
    }

    fn step(&mut self) {
        let rest = self.rest();
        let first = rest.chars().next().expect("the end is not reached");
        if rest.starts_with("//") {
            self.line_comment();
        } else if rest.starts_with("/*") {
            let length = block_comment_length(rest);
            self.take(length, Some(Kind::Comment), 2, if rest[..length].ends_with("*/") { 2 } else { 0 });
        } else if let Some((prefix, hashes)) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = prefix + hashes + 1;
            let length = rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len());
            self.take(length, Some(Kind::Text), start, if length == rest.len() { 0 } else { end.len() });
        } else if first == '"' || rest.starts_with("b\"") || rest.starts_with("c\"") {
            let start = rest.find('"').expect("checked") + 1;
            let (length, closed) = string_length(rest, start);
            self.take(length, Some(Kind::Text), start, usize::from(closed));
        } else if first == '\'' {
            self.take(character_or_lifetime(rest), None, 0, 0);
        } else if first.is_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.take(length, Some(Kind::Name), 0, 0);
        } else {
            let kind = (!first.is_whitespace()).then_some(Kind::Mark);
            self.take(first.len_utf8(), kind, 0, 0);
        }
    }

    fn line_comment(&mut self) {
        let rest = self.rest();
        let length = rest.find('\n').unwrap_or(rest.len());
        let (kind, start) = match &rest[..length] {
            line if line.starts_with("////") => (Kind::Comment, 2),
            line if line.starts_with("///") => (Kind::OuterDoc, 3),
            line if line.starts_with("//!") => (Kind::InnerDoc, 3),
            _ => (Kind::Comment, 2),
        };
        self.take(length, Some(kind), start, 0);
    }
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The number of bytes before the hashes, and the number of hashes, if a raw string begins here.
fn raw_string(rest: &str) -> Option<(usize, usize)> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|more| more.trim_start_matches('#').starts_with('"'))
    })?;
    Some((prefix.len(), rest[prefix.len()..].find('"')?))
}

/// The length up to and including the closing quote, and whether there is one.
fn string_length(rest: &str, start: usize) -> (usize, bool) {
    let mut escaped = false;
    for (at, character) in rest[start..].char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (start + at + 1, true),
            _ => {}
        }
    }
    (rest.len(), false)
}

fn character_or_lifetime(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(rest.len(), |at| at + 4),
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(rest.len(), |at| at + 1),
        },
        None => rest.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind(source: &str, kind: Kind) -> Vec<(&str, usize)> {
        tokens(source)
            .into_iter()
            .filter(|token| token.kind == kind)
            .map(|token| (token.text, token.line))
            .collect()
    }

    #[test]
    fn comments_are_told_from_strings() {
        let source = "let a = \"// no comment\"; // a comment\n/// Doc.\n//! Module.\n/* b /* c */ d */ x";
        assert_eq!(of_kind(source, Kind::Text), [("// no comment", 1)]);
        assert_eq!(of_kind(source, Kind::Comment), [(" a comment", 1), (" b /* c */ d ", 4)]);
        assert_eq!(of_kind(source, Kind::OuterDoc), [(" Doc.", 2)]);
        assert_eq!(of_kind(source, Kind::InnerDoc), [(" Module.", 3)]);
    }

    #[test]
    fn strings_of_all_forms_end_where_they_end() {
        let source = r####"f("a\"b", b"c", r#"d"e"#, r"f\", "two
lines", '"', '\'', 'x', &'static str, "g")"####;
        let found = of_kind(source, Kind::Text);
        assert_eq!(found, [("a\\\"b", 1), ("c", 1), ("d\"e", 1), ("f\\", 1), ("two\nlines", 1), ("g", 2)]);
    }

    #[test]
    fn names_and_marks_are_apart() {
        let names: Vec<_> = of_kind("pub fn of<'a>(x: &'a str) {}", Kind::Name);
        assert_eq!(names, [("pub", 1), ("fn", 1), ("of", 1), ("x", 1), ("str", 1)]);
    }
}

//! Names of files, functions and variables: nouns for things, verbs for actions, in the words of the field.

use crate::Violation;
use crate::lexer::{Kind, Token};
use crate::source::Source;

/// Participles and adjectives that name nothing: a file is called after the thing in it.
const PARTICIPLES: [&str; 16] = [
    "known",
    "shown",
    "seen",
    "told",
    "found",
    "described",
    "standing",
    "lasting",
    "remembered",
    "incoming",
    "outgoing",
    "placing",
    "pending",
    "both",
    "second_thoughts",
    "afterwards",
];

/// Nouns that end like a participle.
const NOUNS: [&str; 8] = ["feed", "seed", "embed", "speed", "monitoring", "routing", "pricing", "finding"];

/// Names of functions that say nothing where the function is called.
const EMPTY_FUNCTION_NAMES: [&str; 11] =
    ["of", "told", "one", "any", "at", "by", "mine", "look", "tell", "heard", "to"];

/// Parts of Rust names that belong to no term of the field.
const BANNED_PARTS: [&str; 21] = [
    "told",
    "tell",
    "tells",
    "telling",
    "whoever",
    "nobody",
    "anew",
    "heard",
    "hears",
    "overhear",
    "overheard",
    "bury",
    "buries",
    "buried",
    "looked",
    "looks",
    "asks",
    "asked",
    "standstill",
    "legible",
    "illegible",
];

/// Rules `file-name`, `function-name` and `identifier`.
pub fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let name = source.path.rsplit('/').next().unwrap_or_default();
    if let Some((stem, "rs" | "js" | "lua" | "py" | "sh")) = name.split_once('.') {
        let is_participle = (stem.ends_with("ed") || stem.ends_with("ing"))
            && !stem.contains(['_', '-'])
            && !NOUNS.contains(&stem);
        if PARTICIPLES.contains(&stem) || is_participle {
            violations.push(source.violation(1, "file-name", name));
        }
    }
    let tokens = source.tokens();
    let tokens: Vec<&Token<'_>> =
        tokens.iter().filter(|token| matches!(token.kind, Kind::Name | Kind::Mark)).collect();
    for (at, token) in tokens.iter().enumerate() {
        if token.kind != Kind::Name {
            continue;
        }
        if let Some(part) = parts(token.text).into_iter().find(|part| BANNED_PARTS.contains(&part.as_str())) {
            violations.push(source.violation(token.line, "identifier", format!("{part}: {}", token.text)));
        }
        let is_function = at > 0 && tokens[at - 1].is("fn");
        if is_function && EMPTY_FUNCTION_NAMES.contains(&token.text) && is_public(&tokens[..at - 1]) {
            violations.push(source.violation(token.line, "function-name", format!("fn {}", token.text)));
        }
    }
    violations
}

/// Whether the tokens before `fn` end in `pub`, with a scope or without, and with qualifiers or without.
fn is_public(before: &[&Token<'_>]) -> bool {
    let qualifiers = ["const", "async", "unsafe", "extern"];
    let qualified = before.iter().rev().take_while(|token| qualifiers.contains(&token.text)).count();
    let before = &before[..before.len() - qualified];
    match before {
        [.., last] if last.is("pub") => true,
        [.., last] if last.is(")") => {
            let open = before.iter().rposition(|token| token.is("("));
            open.is_some_and(|open| open > 0 && before[open - 1].is("pub"))
        }
        _ => false,
    }
}

/// Splits a name in snake or camel case into lower-case parts.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        let starts = character == '_' || (character.is_uppercase() && was_lower);
        if starts {
            parts.push(String::new());
        }
        if character != '_' {
            parts.last_mut().expect("never empty").extend(character.to_lowercase());
        }
        was_lower = character.is_lowercase();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::source;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, String)> {
        check(&source(path, text)).into_iter().map(|violation| (violation.rule, violation.text)).collect()
    }

    #[test]
    fn a_file_that_is_called_after_a_participle_is_found() {
        assert_eq!(rules("a/known.rs", ""), [("file-name", "known.rs".to_owned())]);
        assert_eq!(rules("a/settled.rs", ""), [("file-name", "settled.rs".to_owned())]);
        assert_eq!(rules("a/settling.rs", ""), [("file-name", "settling.rs".to_owned())]);
        assert_eq!(rules("a/feed.rs", ""), []);
        assert_eq!(rules("a/known.md", ""), []);
    }

    #[test]
    fn a_public_function_with_an_empty_name_is_found() {
        for text in
            ["pub fn of() {}", "pub(crate) async fn of() {}", "pub(in crate::a) const unsafe fn of() {}"]
        {
            assert_eq!(rules("a.rs", text), [("function-name", "fn of".to_owned())], "{text}");
        }
        assert_eq!(rules("a.rs", "fn of() {} pub fn offer() {} impl A { fn any(&self) {} }"), []);
    }

    #[test]
    fn a_name_with_a_banned_part_is_found() {
        assert_eq!(
            rules("a.rs", "let what_was_told = 1;"),
            [("identifier", "told: what_was_told".to_owned())]
        );
        assert_eq!(rules("a.rs", "struct ToldEvent;"), [("identifier", "told: ToldEvent".to_owned())]);
        assert_eq!(rules("a.rs", "let foretold = untold; // told"), []);
    }
}

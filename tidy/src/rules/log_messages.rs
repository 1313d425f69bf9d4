//! A log message names the thing and what happened to it, so that it can be understood alone and searched for.

use crate::Violation;
use crate::lexer::{Kind, Token};
use crate::source::Source;

const LEVELS: [&str; 5] = ["info", "warn", "error", "debug", "trace"];

/// The least number of words in a message; a placeholder counts as one.
const WORDS_MIN: usize = 3;

/// Rule `log`: a log message has at least three words.
pub fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let tokens = source.tokens();
    let is_code = |token: &&Token<'_>| matches!(token.kind, Kind::Name | Kind::Mark | Kind::Text);
    let tokens: Vec<&Token<'_>> = tokens.iter().filter(is_code).collect();
    for (at, token) in tokens.iter().enumerate() {
        let is_log = token.kind == Kind::Name && LEVELS.contains(&token.text);
        if !is_log || !next_are(&tokens[at + 1..], ["!", "("]) {
            continue;
        }
        match message(&tokens[at + 2..]) {
            Some(text) if text.split_whitespace().filter(|word| *word != "\\").count() >= WORDS_MIN => {}
            Some(text) => violations.push(source.violation(token.line, "log", text)),
            None => violations.push(source.violation(token.line, "log", "no message")),
        }
    }
    violations
}

fn next_are(tokens: &[&Token<'_>], texts: [&str; 2]) -> bool {
    tokens.len() >= 2 && tokens[0].is(texts[0]) && tokens[1].is(texts[1])
}

/// The first string that is an argument by itself, not the value of a field. `tokens` begin with the parenthesis.
fn message<'a>(tokens: &[&Token<'a>]) -> Option<&'a str> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" if token.kind == Kind::Mark => depth += 1,
            ")" | "]" | "}" if token.kind == Kind::Mark => depth -= 1,
            text if token.kind == Kind::Text && depth == 1 => {
                let before = tokens[at - 1];
                if before.is("(") || before.is(",") {
                    return Some(text);
                }
            }
            _ => {}
        }
        if depth == 0 {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::source;

    fn texts(text: &str) -> Vec<String> {
        check(&source("a.rs", text)).into_iter().map(|violation| violation.text).collect()
    }

    #[test]
    fn a_short_message_is_found() {
        assert_eq!(texts("tracing::info!(sale = %id, \"owns\");"), ["owns"]);
        assert_eq!(texts("warn!(target: \"a b c\", kind = \"a b c\", \"is there\");"), ["is there"]);
        assert_eq!(texts("error!(%error);"), ["no message"]);
    }

    #[test]
    fn a_message_of_three_words_is_accepted() {
        let text =
            "info!(name = f(\"x\"), \"dependency is down\"); fn error() {} error(\"x\"); println!(\"x\");";
        assert_eq!(texts(text), Vec::<String>::new());
    }
}

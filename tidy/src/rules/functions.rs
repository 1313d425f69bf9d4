//! A function fits a screen.

use crate::Violation;
use crate::lexer::{Kind, Token};
use crate::source::Source;

/// The greatest number of lines from `fn` to the closing brace, both included.
pub const LINES_MAX: usize = 70;

/// Rule `length`: a function has at most [`LINES_MAX`] lines.
pub fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let tokens = source.tokens();
    let is_code = |token: &&Token<'_>| matches!(token.kind, Kind::Name | Kind::Mark);
    let tokens: Vec<&Token<'_>> = tokens.iter().filter(is_code).collect();
    for (at, token) in tokens.iter().enumerate() {
        let name = tokens.get(at + 1).filter(|next| next.kind == Kind::Name);
        let (true, Some(name)) = (token.is("fn"), name) else { continue };
        let lines = last_line(&tokens[at..]).map_or(0, |last| last + 1 - token.line);
        if lines > LINES_MAX {
            violations.push(source.violation(
                token.line,
                "length",
                format!("fn {} has {lines} lines", name.text),
            ));
        }
    }
    violations
}

/// The line of the brace that closes the body; none if there is no body.
fn last_line(tokens: &[&Token<'_>]) -> Option<usize> {
    let (mut nested, mut braces) = (0_usize, 0_usize);
    for token in tokens {
        match token.text {
            "(" | "[" if braces == 0 => nested += 1,
            ")" | "]" if braces == 0 => nested = nested.saturating_sub(1),
            ";" if braces == 0 && nested == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if braces == 0 && nested == 0 {
                    return Some(token.line);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::source;

    #[test]
    fn a_function_that_is_too_long_is_found() {
        let long = format!(
            "fn a(x: [u8; 4]) -> u8 {{\n{}}}\nfn b();\n",
            "    { let y = '{'; }\n".repeat(LINES_MAX - 1)
        );
        let found = check(&source("a.rs", &long));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text, "fn a has 71 lines");
        let fits = format!("fn a() {{\n{}}}\nlet f: fn(u8) = b;\n", "    x;\n".repeat(LINES_MAX - 2));
        assert!(check(&source("a.rs", &fits)).is_empty());
    }
}

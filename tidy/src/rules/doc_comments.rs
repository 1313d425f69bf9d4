//! A doc comment begins with a sentence: it stands alone in an IDE and on the generated page.

use crate::Violation;
use crate::lexer::Kind;
use crate::source::Source;

/// A sentence has a subject and a verb, or a verb and an object.
const WORDS_MIN: usize = 3;

/// A comment that begins with one of these continues the name of the item instead of saying something about it.
const FRAGMENT_STARTS: [&str; 5] = ["Of", "By", "From", "To", "At"];

/// These can begin a sentence, in which a comma ends the phrase that they begin.
const PHRASE_STARTS: [&str; 9] = ["In", "As", "Behind", "Until", "For", "On", "With", "Without", "Since"];

/// Rule `doc`: a doc comment begins with a sentence.
pub fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let tokens = source.tokens();
    let mut at = 0;
    while at < tokens.len() {
        let kind = tokens[at].kind;
        if !matches!(kind, Kind::OuterDoc | Kind::InnerDoc) {
            at += 1;
            continue;
        }
        let start = at;
        while at < tokens.len()
            && tokens[at].kind == kind
            && tokens[at].line == tokens[start].line + (at - start)
        {
            at += 1;
        }
        let lines: Vec<&str> = tokens[start..at].iter().map(|token| token.text.trim()).collect();
        if let Some(fault) = fault(&lines) {
            let text = format!("{fault}: {}", lines[0].chars().take(100).collect::<String>());
            violations.push(source.violation(tokens[start].line, "doc", text));
        }
    }
    violations
}

/// Returns what is wrong with the first paragraph of a comment.
fn fault(lines: &[&str]) -> Option<&'static str> {
    let is_prose = |line: &&&str| {
        !line.is_empty() && !line.starts_with(['|', '#', '-', '*']) && !line.starts_with("```")
    };
    let paragraph: Vec<&str> = lines.iter().take_while(is_prose).copied().collect();
    let paragraph = paragraph.join(" ");
    let first = paragraph.split_whitespace().next().unwrap_or_default();
    let sentence = paragraph.split_inclusive(". ").next().unwrap_or_default();
    if paragraph.split_whitespace().count() < WORDS_MIN {
        Some("too short for a sentence")
    } else if !paragraph
        .starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || ['`', '[', '“', '"'].contains(&c))
    {
        Some("begins in lower case")
    } else if !paragraph.ends_with(['.', ':', '!', '?', ')', '`']) {
        Some("does not end with punctuation")
    } else if FRAGMENT_STARTS.contains(&first)
        || (PHRASE_STARTS.contains(&first) && !sentence.contains([',', ':']))
    {
        Some("is a fragment")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::source;

    fn faults(text: &str) -> Vec<String> {
        check(&source("a.rs", text)).into_iter().map(|violation| violation.text).collect()
    }

    #[test]
    fn fragments_are_found() {
        assert_eq!(faults("/// By whom.\nfn a() {}"), ["too short for a sentence: By whom."]);
        assert_eq!(
            faults("/// Of a sale in an epoch.\nfn a() {}"),
            ["is a fragment: Of a sale in an epoch."]
        );
        assert_eq!(
            faults("/// With the sale's own key.\nfn a() {}"),
            ["is a fragment: With the sale's own key."]
        );
        assert_eq!(faults("/// returns the order\nfn a() {}"), ["begins in lower case: returns the order"]);
        assert_eq!(
            faults("//! The orders of\n//! a sale\n"),
            ["does not end with punctuation: The orders of"]
        );
    }

    #[test]
    fn sentences_are_accepted() {
        let text = "//! The orders of a sale.\n//!\n//! | a | b |\n\n/// Returns the order.\n/// `None` if there is none.\n\
                    fn a() {}\n/// In tests, the clock is held.\n/// [`Order`] is not known to anyone.\nfn b() {}\n// of x\n";
        assert_eq!(faults(text), Vec::<String>::new());
    }
}

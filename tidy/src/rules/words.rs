//! Words that the field does not use for what they would stand for here. A reader has to translate each of them, and a
//! search for the usual term finds nothing: write publish, return, poll, read, request, cache, continue, again, the client.

use crate::Violation;
use crate::source::Source;

/// Banned words and phrases, in lower case. A `*` at the end of a word stands for any ending; at its beginning, for any
/// beginning.
pub const BANNED: [&str; 45] = [
    "told",
    "tell",
    "tells",
    "telling",
    "whoever",
    "nobody",
    "anew",
    "for ever",
    "so long",
    "is away",
    "are away",
    "was away",
    "were away",
    "goes on",
    "go on",
    "went on",
    "gone on",
    "stands",
    "standstill",
    "legible",
    "illegible",
    "overhear*",
    "hear",
    "hears",
    "heard",
    "bury",
    "buries",
    "buried",
    "look",
    "looks",
    "looking",
    "looked",
    "ask",
    "asks",
    "asked",
    "asking",
    "*'s word",
    "by its word",
    "at its word",
    "word of it",
    "passed over",
    "in vain",
    "by whom",
    "to whom",
    "that which",
];

/// Forms of a verb that is fine before `up`: an index is looked up.
const LOOK: [&str; 4] = ["look", "looks", "looking", "looked"];

struct Word<'a> {
    text: &'a str,
    line: usize,
}

fn words_of(text: &str, first_line: usize) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let parts = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '\'');
        let parts = parts.map(|part| part.trim_matches('\'')).filter(|part| !part.is_empty());
        words.extend(parts.map(|text| Word { text, line: first_line + index }));
    }
    words
}

fn matches(pattern: &str, word: &str) -> bool {
    let word = word.to_lowercase();
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => word.ends_with(end),
        (_, Some(start)) => word.starts_with(start),
        _ => word == pattern,
    }
}

/// Returns the banned words and phrases in a text, each with its line.
pub fn banned_in(text: &str, first_line: usize) -> Vec<(usize, String)> {
    let words = words_of(text, first_line);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let hit = BANNED.iter().find(|phrase| {
            let parts: Vec<&str> = phrase.split(' ').collect();
            let here = words[at..].iter().take(parts.len());
            here.len() == parts.len() && parts.iter().zip(here).all(|(part, word)| matches(part, word.text))
        });
        let is_look_up = LOOK.contains(&word.text.to_lowercase().as_str())
            && words.get(at + 1).is_some_and(|next| next.text.eq_ignore_ascii_case("up"));
        if let (Some(hit), false) = (hit, is_look_up) {
            found.push((word.line, (*hit).to_owned()));
        }
    }
    found
}

/// Returns the number of banned words in the comments of a Rust source.
pub fn in_comments(source: &Source) -> usize {
    let comments = source.passages().into_iter().filter(|passage| passage.is_comment);
    comments.map(|passage| banned_in(&passage.text, passage.line).len()).sum()
}

/// Rule `word`: no banned word in a comment, a string or a document.
pub fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for passage in source.passages() {
        for (line, word) in banned_in(&passage.text, passage.line) {
            let whole = source.text.lines().nth(line - 1).unwrap_or_default().trim();
            let whole: String = whole.chars().take(160).collect();
            violations.push(source.violation(line, "word", format!("{word}: {whole}")));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::source;

    #[test]
    fn banned_words_are_found_in_comments_and_strings_and_not_in_code() {
        let text = "// It is told.\nlet told = look(\"whoever asks\");\n/// Looks up an order.\nfn a() {}\n";
        let found = check(&source("a.rs", text));
        let found: Vec<_> =
            found.iter().map(|v| (v.line, v.text.split(':').next().unwrap_or_default())).collect();
        assert_eq!(found, [(1, "told"), (2, "whoever"), (2, "asks")]);
        assert_eq!(in_comments(&source("a.rs", text)), 1);
    }

    #[test]
    fn a_phrase_is_found_across_the_end_of_a_line() {
        let text = "// The log goes\n// on without\n// the operator's word.\n";
        assert_eq!(check(&source("a.rs", text)).len(), 2);
        assert_eq!(banned_in("without an operator's word", 5), [(5, "*'s word".to_owned())]);
    }

    #[test]
    fn a_document_is_checked_as_a_whole() {
        assert_eq!(check(&source("a.md", "# A\n\nThe page tells it, and is away.\n")).len(), 2);
        assert!(check(&source("a.md", "Foretold, looked up, stand, and a task.\n")).is_empty());
    }
}

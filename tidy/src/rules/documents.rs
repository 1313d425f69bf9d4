//! Commands in documents are typed by `book/tests/commands.rs`. A block with a mark that keeps it from being typed
//! (`book/src/kind.rs`) shows by its content that it cannot be; a mark that proves nothing needs an exception.

use crate::Violation;
use crate::source::Source;

/// What a block with this mark contains.
const PROOFS: [(&str, &[&str]); 3] = [
    ("docker", &["docker "]),
    ("dev", &["./dev ", ".ci/run"]),
    ("root", &["apt-get ", "/etc/", "systemctl ", "certbot ", "runuser ", "/usr/local/bin"]),
];

/// Rule `unrun`: a shell block is typed by a test, or its content shows why it cannot be.
pub fn check(source: &Source) -> Vec<Violation> {
    if !source.is_markdown() {
        return Vec::new();
    }
    let mut violations = Vec::new();
    let mut lines = source.text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| !line.trim_start().starts_with("```"))
            .collect();
        let Some(mark) = info.strip_prefix("sh ") else { continue };
        let proofs = PROOFS.iter().find(|(name, _)| *name == mark).map(|(_, proofs)| *proofs);
        let is_proven =
            |proofs: &[&str]| proofs.iter().any(|proof| body.iter().any(|line| line.contains(proof)));
        if mark != "refused" && !proofs.is_some_and(is_proven) {
            let first = body.first().copied().unwrap_or_default();
            violations.push(source.violation(index + 1, "unrun", format!("sh {mark}: {first}")));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::source;

    fn texts(text: &str) -> Vec<String> {
        check(&source("a.md", text)).into_iter().map(|violation| violation.text).collect()
    }

    #[test]
    fn a_block_that_could_be_typed_and_is_not_is_found() {
        assert_eq!(texts("```sh elsewhere\ncurl a\n```\n"), ["sh elsewhere: curl a"]);
        assert_eq!(texts("```sh docker\ncurl a\n```\n"), ["sh docker: curl a"]);
    }

    #[test]
    fn a_block_that_is_typed_or_shows_why_not_is_accepted() {
        let text = "```sh\ncurl a\n```\n```sh refused\ncurl b\n```\n```sh docker\ndocker ps\n```\n```text\nsh elsewhere\n```\n";
        assert_eq!(texts(text), Vec::<String>::new());
    }
}

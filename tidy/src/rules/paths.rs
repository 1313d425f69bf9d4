//! A text that mentions a file of this repository mentions one that exists: renaming a file renames it everywhere.

use std::collections::BTreeSet;

use crate::Violation;
use crate::source::Source;

/// Endings by which a path is recognized as one of a tracked file.
const ENDINGS: [&str; 12] =
    ["rs", "lua", "sql", "md", "sh", "py", "js", "toml", "yml", "css", "html", "conf"];

/// Rule `path`: a path that begins with a folder of the repository's root and ends like a source exists.
pub fn check(source: &Source, tracked: &BTreeSet<String>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for passage in source.passages() {
        for (index, line) in passage.text.lines().enumerate() {
            for path in paths_in(line) {
                let Some((folder, _)) = path.split_once('/') else { continue };
                let folder = format!("{folder}/");
                let is_ours =
                    tracked.range(folder.clone()..).next().is_some_and(|next| next.starts_with(&folder));
                if is_ours && !tracked.contains(path) {
                    violations.push(source.violation(passage.line + index, "path", path));
                }
            }
        }
    }
    violations
}

fn paths_in(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_' | '/' | '-' | '*' | '{' | '}' | '<' | '$' | ':' | '@')
    };
    let words = line.split(move |c: char| !is_part(c)).map(|word| word.trim_end_matches(['.', ':']));
    let words =
        words.map(|word| word.split_once(':').map_or(word, |(path, _)| path).trim_start_matches("./"));
    words.filter(|word| {
        let ending = word.rsplit_once('.').map_or("", |(_, ending)| ending);
        ENDINGS.contains(&ending) && !word.contains(['*', '{', '<', '$', '@']) && !word.starts_with('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::source;

    #[test]
    fn a_file_that_does_not_exist_is_found() {
        let tracked = BTreeSet::from(["gateway/src/run.rs".to_owned(), "docs/a.md".to_owned()]);
        let text =
            "See `gateway/src/run.rs:3`, docs/b.md, gateway/src/*.rs and https://a.example/docs/c.md.\n";
        let found = check(&source("README.md", text), &tracked);
        assert_eq!(found.iter().map(|v| v.text.as_str()).collect::<Vec<_>>(), ["docs/b.md"]);
        let text = "// gateway/src/lease.rs\nlet a = other/b.rs;\n";
        assert_eq!(check(&source("a.rs", text), &tracked).len(), 1);
    }
}

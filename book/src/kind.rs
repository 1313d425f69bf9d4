//! The kind of a block, which determines what the tests do with it. The words after a fence are the language, which code
//! hosts use for highlighting, and then marks. A block without a language, or with an unknown language or mark, is an
//! error: no block is skipped silently. A mark that keeps a block from being run is the reason for that;
//! the crate `tidy` checks that the content of the block proves it.
//!
//! | block | what happens to it |
//! |---|---|
//! | `sh` | run in the page's shell; must succeed |
//! | `sh refused` | run; its last command must fail (an HTTP status of 400 or more is a failure) |
//! | `sh docker`, `sh root`, `sh elsewhere` | requires Docker, root, or another machine: only parsed |
//! | `sh dev` | `./dev` commands that `.ci/run` runs, too: parsed, and each command must exist |
//! | `console` | each line after `$ ` is run; the lines below it are its expected output |
//! | `text output`, `http output`, `csv output` | the output of the block directly above |
//! | `json output` | the output of the last command of the block directly above |
//! | `json`, `toml`, `yaml` | parsed |
//! | `… file=NAME` | also written to a file with this name, for the following commands |
//! | `sql` | run by `./dev psql` |
//! | `text`, `ini`, `nginx`, `mermaid`, `lua`, `rust`, `html`, `js` | displayed only |

use crate::page::Block;

/// The reason why a block is parsed but not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// It starts containers.
    Docker,
    /// It changes the machine.
    Root,
    /// It is for another machine, or needs a person.
    Elsewhere,
    /// `.ci/run` runs the same command, which takes minutes.
    Dev,
}

/// The format of a data block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, in which a string `…` matches any value.
    Json,
    /// TOML, parsed as a table.
    Toml,
    /// YAML, parsed as a value.
    Yaml,
    /// Any other text.
    Text,
}

/// The kind of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Commands that are run.
    Command {
        /// Whether the last command must fail.
        refused: bool,
    },
    /// Commands after `$ `, and their expected outputs.
    Console,
    /// A script that is only parsed.
    Parsed(Reason),
    /// A statement for Postgres.
    Sql,
    /// The expected output of the block above.
    Output(Format),
    /// Data that is parsed, and written to a file if it has a name.
    Data {
        /// The format in which it is parsed.
        format: Format,
        /// The name of the file.
        file: Option<String>,
    },
    /// A block that is displayed only.
    Displayed,
}

/// The kind of a block is unknown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of block: `{0}` (book/src/kind.rs lists all kinds)")]
pub struct UnknownKind(String);

const DISPLAYED: [&str; 8] = ["text", "ini", "nginx", "mermaid", "lua", "rust", "html", "js"];

/// Returns the kind of a block.
pub fn classify(block: &Block) -> Result<Kind, UnknownKind> {
    let mut words = block.info.split_whitespace();
    let language = words.next().unwrap_or_default();
    let marks: Vec<&str> = words.collect();
    let unknown = || UnknownKind(block.info.clone());
    let format = match language {
        "json" => Format::Json,
        "toml" => Format::Toml,
        "yaml" => Format::Yaml,
        _ => Format::Text,
    };
    match (language, marks.as_slice()) {
        ("sh", []) => Ok(Kind::Command { refused: false }),
        ("sh", ["refused"]) => Ok(Kind::Command { refused: true }),
        ("sh", ["docker"]) => Ok(Kind::Parsed(Reason::Docker)),
        ("sh", ["root"]) => Ok(Kind::Parsed(Reason::Root)),
        ("sh", ["elsewhere"]) => Ok(Kind::Parsed(Reason::Elsewhere)),
        ("sh", ["dev"]) => Ok(Kind::Parsed(Reason::Dev)),
        ("console", []) => Ok(Kind::Console),
        ("sql", []) => Ok(Kind::Sql),
        ("json" | "text" | "http" | "csv" | "toml", ["output"]) if block.follows => Ok(Kind::Output(format)),
        ("json" | "toml" | "yaml", []) => Ok(Kind::Data { format, file: None }),
        ("json" | "toml" | "yaml" | "csv" | "text" | "python", [file]) => {
            let name = file.strip_prefix("file=").filter(|name| !name.contains('/'));
            name.map(|name| Kind::Data { format, file: Some(name.to_owned()) }).ok_or_else(unknown)
        }
        (language, []) if DISPLAYED.contains(&language) => Ok(Kind::Displayed),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(info: &str, follows: bool) -> Result<Kind, UnknownKind> {
        classify(&Block { line: 1, info: info.into(), body: String::new(), follows })
    }

    #[test]
    fn no_block_is_skipped_silently() {
        for fault in [
            "",
            "bash",
            "sh skip",
            "sh docker root",
            "json output extra",
            "python",
            "toml name",
            "toml file=../a",
        ] {
            assert!(kind(fault, true).is_err(), "{fault}");
        }
        assert!(kind("json output", false).is_err(), "an output of nothing");
        assert_eq!(kind("sh", false), Ok(Kind::Command { refused: false }));
        assert_eq!(
            kind("toml file=a.toml", false),
            Ok(Kind::Data { format: Format::Toml, file: Some("a.toml".into()) })
        );
    }
}

//! What a block is, and so what is done with it. The words behind a fence are the language, which code hosts colour
//! by, and then marks. A block of an unknown language, without one, or with an unknown mark, is a fault: nothing is
//! passed over in silence.
//!
//! | block | what happens to it |
//! |---|---|
//! | `sh` | typed into the page's shell; must succeed |
//! | `sh refused` | typed; its last command must fail (an HTTP status from 400 on is a failure) |
//! | `sh docker`, `sh root`, `sh elsewhere` | needs Docker, rights, or another machine: only parsed |
//! | `sh dev` | runs `./dev` commands that `.ci/run` runs, too: parsed, and each command must exist |
//! | `console` | lines behind `$ ` are typed, one by one; what stands below each is its output |
//! | `text output`, `http output`, `csv output` | what the block right above has printed |
//! | `json output` | the answer to the last command of the block right above |
//! | `json`, `toml`, `yaml` | parsed |
//! | `… file=NAME` | also written to a file of this name, for the commands that follow |
//! | `sql` | run by `./dev psql` |
//! | `text`, `ini`, `nginx`, `mermaid`, `lua`, `rust`, `html`, `js` | shown |

use crate::page::Block;

/// Why a block that is parsed is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// It starts containers.
    Docker,
    /// It changes the machine.
    Root,
    /// It is for another machine, or for a person at one.
    Elsewhere,
    /// `.ci/run` runs the same command, which takes minutes.
    Dev,
}

/// A format that can be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, in which a string `…` stands for anything.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
    /// Any other text.
    Text,
}

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Typed. Whether its last command must fail.
    Command {
        /// The last command must fail.
        refused: bool,
    },
    /// Commands behind `$ `, and their outputs.
    Console,
    /// Only parsed, as a script.
    Parsed(Reason),
    /// A statement for Postgres.
    Sql,
    /// What the block above has printed.
    Output(Format),
    /// Parsed, and perhaps written to a file.
    Data {
        /// How it is parsed.
        format: Format,
        /// The file's name.
        file: Option<String>,
    },
    /// For the eye.
    Shown,
}

/// A block that nobody can tell what to do with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is to be done with a block `{0}`? (book/src/kind.rs lists what there is)")]
pub struct UnknownKind(String);

const SHOWN: [&str; 8] = ["text", "ini", "nginx", "mermaid", "lua", "rust", "html", "js"];

/// What this block is.
pub fn of(block: &Block) -> Result<Kind, UnknownKind> {
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
        (shown, []) if SHOWN.contains(&shown) => Ok(Kind::Shown),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(info: &str, follows: bool) -> Result<Kind, UnknownKind> {
        of(&Block { line: 1, info: info.into(), body: String::new(), follows })
    }

    #[test]
    fn no_block_is_passed_over_in_silence() {
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

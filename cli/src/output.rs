//! Standard output of a command: text for people, or one JSON document for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// The format of what a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    /// Tables and sentences for people.
    Text,
    /// One JSON document for programs.
    Json,
}

impl OutputFormat {
    /// Prints the JSON or the text.
    pub(crate) fn print(self, json: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self {
            Self::Text => write(&text()),
            Self::Json => {
                let pretty = serde_json::to_string_pretty(json);
                write(&(pretty.map_err(|error| Failure::Output(error.into()))? + "\n"))
            }
        }
    }
}

/// Writes a text to standard output.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    write_bytes(text.as_bytes()).map(drop)
}

/// Writes to standard output. Returns false if the output has closed the pipe (`| head`), which is no failure.
pub(crate) fn write_bytes(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Output(error)),
    }
}

//! What a command answers, on standard output: text for people, one JSON document for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Whom the answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Tables and sentences.
    Person,
    /// JSON.
    Program,
}

impl Reader {
    /// Writes the one or the other.
    pub(crate) fn told(self, json: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self {
            Self::Person => write(&text()),
            Self::Program => {
                let pretty = serde_json::to_string_pretty(json);
                write(&(pretty.map_err(|error| Failure::Output(error.into()))? + "\n"))
            }
        }
    }
}

/// Writes a text to standard output.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    goes_on(text.as_bytes()).map(drop)
}

/// Writes to standard output. Who reads may leave early (`| head`): that is no failure, and false.
pub(crate) fn goes_on(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Output(error)),
    }
}

//! Why a command did not do what it was asked: one exit code a kind, words that say what to do next, and the
//! same as JSON for programs.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use terminal::{Style, is_coloured, styled_if};

use crate::definition::Fault;

/// What ends a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server answered, and it was a refusal.
    #[error("{}", .0.sentence())]
    Refused(Problem),
    /// The arguments do not fit together, or a question was answered with no.
    #[error("{0}")]
    Usage(String),
    /// A definition that cannot be sold by.
    #[error("{name}: {}", counted(.faults.len(), "fault"))]
    Invalid {
        /// The file.
        name: String,
        /// All that was found in it.
        faults: Vec<Fault>,
    },
    /// What was asked for is not there.
    #[error("{what}")]
    NotFound {
        /// In words.
        what: String,
        /// What to do.
        hint: String,
    },
    /// No answer.
    #[error("no answer from {url}: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// A change may have been made, or may not.
    #[error("{what}: no answer told whether it was done ({why})")]
    Unknown {
        /// What was asked for.
        what: String,
        /// Why there was no answer.
        why: String,
        /// How to find out.
        hint: String,
    },
    /// Stored, and not seen in force within the limit.
    #[error("{0}")]
    Late(String),
    /// A file that cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The answer is none that this program knows.
    #[error("{url} answered something that is not understood: {why}")]
    Strange {
        /// Which call.
        url: String,
        /// What was wrong with it.
        why: String,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The gateway answers, and says that it is not ready.
    #[error("{0}")]
    NotReady(String),
}

/// What the server says of a refusal (RFC 9457).
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body's members.
    pub(crate) members: Map<String, Value>,
}

impl Problem {
    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        self.text("code")
    }

    fn text(&self, name: &str) -> &str {
        self.members.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn sentence(&self) -> String {
        let (title, detail) = (self.text("title"), self.text("detail"));
        match (title, detail) {
            ("", "") => format!("refused with status {}", self.status),
            (title, detail) if detail.is_empty() || detail == title => title.to_owned(),
            (title, detail) => format!("{title} {detail}"),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self.code() {
            "unauthenticated" => "give the operator's token in ADMIN_TOKEN or by --token",
            "forbidden" => "this token is a customer's; the operator's is needed (ADMIN_TOKEN or --token)",
            "unknown_sale" => {
                "`flashsale sale list` shows the sales there are; a draft has no orders before it is opened"
            }
            "illegal_move" => "`flashsale sale show SALE` and `flashsale orders show` tell where it stands",
            "stock_in_use" => {
                "`flashsale inventory SALE` shows what is free; a total cannot be lowered below what is held or sold"
            }
            "idempotency_key_reused" => {
                "this key was used for another amount; leave --key out for a new credit"
            }
            _ if self.status == 503 => {
                "repeat the command in a moment; `flashsale status` tells what is missing"
            }
            _ => return None,
        })
    }
}

/// Exit codes: part of what scripts rely on; `flashsale help` lists them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused by the server (the message has its code and reason)
  2  wrong usage, or not confirmed
  3  the file is not a valid definition
  4  not found
  5  not authorised (no token, or not an operator's)
  6  unreachable, no answer in time, or not in force within --wait
  7  a local file, or standard output, cannot be read or written
  8  answered, but not ready (status)
With --json an error is one JSON object on standard error:
  {\"error\":{\"kind\",\"exit_code\",\"message\",\"hint\"?,\"problem\"?,\"faults\"?}}";

impl Failure {
    /// A file that cannot be read or written.
    pub(crate) fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }

    fn kind(&self) -> (&'static str, u8) {
        match self {
            Self::Refused(problem) => match problem.status {
                401 | 403 => ("unauthorised", 5),
                404 => ("not_found", 4),
                _ => ("refused", 1),
            },
            Self::Usage(_) => ("usage", 2),
            Self::Invalid { .. } => ("invalid_file", 3),
            Self::NotFound { .. } => ("not_found", 4),
            Self::Unreachable { .. } | Self::Strange { .. } => ("unreachable", 6),
            Self::Unknown { .. } => ("outcome_unknown", 6),
            Self::Late(_) => ("not_in_force", 6),
            Self::File { .. } => ("file", 7),
            Self::Output(_) => ("output", 7),
            Self::NotReady(_) => ("not_ready", 8),
            Self::Interrupted => ("interrupted", 130),
        }
    }

    /// What the program ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind().1)
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Refused(problem) => problem.hint()?.to_owned(),
            Self::Unreachable { .. } => {
                "is the gateway running, and is this its admin listener? (--admin-url or ADMIN_URL; in a checkout: ./dev status)".into()
            }
            Self::Strange { .. } => "is this the admin listener of a gateway? (--admin-url or ADMIN_URL)".into(),
            Self::NotFound { hint, .. } | Self::Unknown { hint, .. } => hint.clone(),
            Self::Late(_) => "it is stored and will come into force by itself; `flashsale status` tells what is missing".into(),
            Self::Invalid { .. } => "`flashsale sale template` prints a definition with every field explained".into(),
            Self::Usage(_) | Self::File { .. } | Self::Output(_) | Self::NotReady(_) | Self::Interrupted => return None,
        })
    }

    /// Says it on standard error.
    pub(crate) fn tell(&self, json: bool) {
        if json {
            eprintln!("{}", self.as_json());
            return;
        }
        let coloured = is_coloured(&io::stderr());
        if let Self::Invalid { faults, .. } = self {
            for fault in faults {
                eprintln!("{}\n", fault.drawn(coloured));
            }
        }
        eprintln!("{} {self}", styled_if(coloured, Style::Bad, "error:"));
        if let Some(hint) = self.hint() {
            eprintln!("  {} {hint}", styled_if(coloured, Style::Bold, "try:"));
        }
    }

    /// For programs.
    pub(crate) fn as_json(&self) -> Value {
        let (kind, exit_code) = self.kind();
        let mut error = json!({ "kind": kind, "exit_code": exit_code, "message": self.to_string() });
        if let Some(hint) = self.hint() {
            error["hint"] = hint.into();
        }
        match self {
            Self::Refused(problem) => error["problem"] = problem.members.clone().into(),
            Self::Invalid { faults, .. } => error["faults"] = faults.iter().map(Fault::as_json).collect(),
            _ => {}
        }
        json!({ "error": error })
    }
}

/// `1 fault`, `2 faults`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

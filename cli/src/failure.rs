//! Why a command failed: an exit code per kind, a message with a hint what to do next, and both as JSON for programs.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use terminal::{Style, is_coloured, styled_if};

use crate::definition::Fault;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server refused the request.
    #[error("{}", .0.sentence())]
    Refused(Problem),
    /// The arguments are inconsistent, or the action was not confirmed.
    #[error("{0}")]
    Usage(String),
    /// A definition file is not valid.
    #[error("{name}: {}", pluralized(.faults.len(), "fault"))]
    Invalid {
        /// The name of the file.
        name: String,
        /// All faults that were found in it.
        faults: Vec<Fault>,
    },
    /// The requested thing does not exist.
    #[error("{what}")]
    NotFound {
        /// The message for people.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// The gateway did not respond.
    #[error("no response from {url}: {why}")]
    Unreachable {
        /// The address of the gateway.
        url: String,
        /// The cause of the failure.
        why: String,
    },
    /// It is unknown whether a change was made.
    #[error("{what}: the outcome is unknown because the gateway did not respond ({why})")]
    OutcomeUnknown {
        /// The request that was sent.
        what: String,
        /// Why there was no response.
        why: String,
        /// How the user can find out.
        hint: String,
    },
    /// A change is stored, but was not in force within the time limit.
    #[error("{0}")]
    NotInForce(String),
    /// A file could not be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// Standard output could not be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The response is not one that the admin API sends.
    #[error("unexpected response from {url}: {why}")]
    UnexpectedResponse {
        /// The call or the address.
        url: String,
        /// What is wrong with the response.
        why: String,
    },
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The gateway reports that it is not ready.
    #[error("{0}")]
    NotReady(String),
}

/// A problem document from the server (RFC 9457).
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The members of the document.
    pub(crate) members: Map<String, Value>,
}

impl Problem {
    /// Returns the stable error code.
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
            "unauthenticated" => "set the operator's token in ADMIN_TOKEN or with --token",
            "forbidden" => "this is a customer's token; use the operator's (ADMIN_TOKEN or --token)",
            "unknown_sale" => {
                "`flashsale sale list` lists all sales; a draft has no orders until it is opened"
            }
            "illegal_move" => "`flashsale sale show SALE` and `flashsale orders show` show the present state",
            "stock_in_use" => {
                "`flashsale inventory SALE` shows the available units; a total cannot be lowered below the units that are held or sold"
            }
            "idempotency_key_reused" => "this key was used for another amount; omit --key for a new credit",
            _ if self.status == 503 => {
                "try again in a moment; `flashsale status` shows which dependency is down"
            }
            _ => return None,
        })
    }
}

/// The exit codes, which scripts rely on; `flashsale help` lists them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused by the server (the message has its code and reason)
  2  wrong usage, or not confirmed
  3  the file is not a valid definition
  4  not found
  5  not authorised (no token, or not an operator's)
  6  unreachable, timed out, or not in force within --wait
  7  a local file, or standard output, cannot be read or written
  8  the gateway responds, but is not ready (status)
With --json, an error is a JSON object on standard error:
  {\"error\":{\"kind\",\"exit_code\",\"message\",\"hint\"?,\"problem\"?,\"faults\"?}}";

impl Failure {
    /// Returns the failure to read or write a file.
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
            Self::Unreachable { .. } | Self::UnexpectedResponse { .. } => ("unreachable", 6),
            Self::OutcomeUnknown { .. } => ("outcome_unknown", 6),
            Self::NotInForce(_) => ("not_in_force", 6),
            Self::File { .. } => ("file", 7),
            Self::Output(_) => ("output", 7),
            Self::NotReady(_) => ("not_ready", 8),
            Self::Interrupted => ("interrupted", 130),
        }
    }

    /// Returns the exit code of the program.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind().1)
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Refused(problem) => problem.hint()?.to_owned(),
            Self::Unreachable { .. } => {
                "check that the gateway is running and that this is its admin listener (--admin-url or ADMIN_URL; in a checkout: ./dev status)".into()
            }
            Self::UnexpectedResponse { .. } => "check that this is the admin listener of a gateway (--admin-url or ADMIN_URL)".into(),
            Self::NotFound { hint, .. } | Self::OutcomeUnknown { hint, .. } => hint.clone(),
            Self::NotInForce(_) => "the change is stored and will take effect by itself; `flashsale status` shows which dependency is down".into(),
            Self::Invalid { .. } => "`flashsale sale template` prints a sample definition that explains every field".into(),
            Self::Usage(_) | Self::File { .. } | Self::Output(_) | Self::NotReady(_) | Self::Interrupted => return None,
        })
    }

    /// Prints the failure to standard error.
    pub(crate) fn print(&self, json: bool) {
        if json {
            eprintln!("{}", self.as_json());
            return;
        }
        let coloured = is_coloured(&io::stderr());
        if let Self::Invalid { faults, .. } = self {
            for fault in faults {
                eprintln!("{}\n", fault.render(coloured));
            }
        }
        eprintln!("{} {self}", styled_if(coloured, Style::Bad, "error:"));
        if let Some(hint) = self.hint() {
            eprintln!("  {} {hint}", styled_if(coloured, Style::Bold, "try:"));
        }
    }

    /// Returns the JSON for programs.
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

/// Returns `1 fault` or `2 faults`.
fn pluralized(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

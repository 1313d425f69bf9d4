//! Runs the program as an operator does: as a process, with the address and the token of a test system.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test program uses a part of this module

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::System;

/// The time limit of each command.
const LIMIT: Duration = Duration::from_secs(60);

/// The output and the exit code of a command.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Finished {
    /// Parses standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    /// Parses the error on standard error.
    pub fn error(&self) -> Value {
        let whole: Value =
            serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        whole["error"].clone()
    }
    /// Asserts that the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// The address and the token with which commands run.
#[derive(Clone)]
pub struct Operator {
    pub admin_url: String,
    pub token: Option<&'static str>,
}

impl Operator {
    /// Creates an operator of a system's first gateway.
    pub fn for_system(system: &System) -> Self {
        Self { admin_url: system.gateways[0].1.clone(), token: Some("dev-admin") }
    }

    /// Returns the command with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashsale"));
        command.args(arguments).env_clear().env("ADMIN_URL", &self.admin_url);
        if let Some(token) = self.token {
            command.env("ADMIN_TOKEN", token);
        }
        command
    }

    /// Runs a command until it exits.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with_input(arguments, "")
    }

    /// Runs a command with standard input. This blocks the thread; the system under test runs on others.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        run_to_end(self.command(arguments), input)
    }
}

/// Runs a command until it exits, and checks the time limit.
pub fn run_to_end(mut command: Command, input: &str) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    let _ = stdin.write_all(input.as_bytes()); // the command may not read it
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(begun.elapsed() < LIMIT, "{command:?} took {:?}", begun.elapsed());
    Finished {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A temporary folder, which is deleted when the value is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(testkit::fresh("cli"));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // remaining files in the temporary folder do no harm
    }
}

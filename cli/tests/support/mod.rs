//! The program as an operator runs it: as a process, with the address and the token of a system of the tests.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test program uses a part of it

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::System;

/// No command of these tests takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    /// The error on standard error, as JSON.
    pub fn error(&self) -> Value {
        let whole: Value =
            serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        whole["error"].clone()
    }
    /// Its output, of a command that did what it was asked.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// Whose commands these are.
#[derive(Clone)]
pub struct Operator {
    pub admin_url: String,
    pub token: Option<&'static str>,
}

impl Operator {
    /// Of a system's first gateway.
    pub fn of(system: &System) -> Self {
        Self { admin_url: system.gateways[0].1.clone(), token: Some("dev-admin") }
    }

    /// The program with these arguments, still to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashsale"));
        command.args(arguments).env_clear().env("ADMIN_URL", &self.admin_url);
        if let Some(token) = self.token {
            command.env("ADMIN_TOKEN", token);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.fed(arguments, "")
    }

    /// Runs a command with something on its standard input. Blocks: what is asked runs on other threads.
    pub fn fed(&self, arguments: &[&str], input: &str) -> Said {
        finished(self.command(arguments), input)
    }
}

/// Runs a command to its end, within a limit.
pub fn finished(mut command: Command, input: &str) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    let _ = stdin.write_all(input.as_bytes()); // it may not want to read it
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(begun.elapsed() < LIMIT, "{command:?} took {:?}", begun.elapsed());
    Said {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A folder of the test's own; deleted with the value.
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
    /// Writes a file; returns its name as an argument.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // left-overs in the temporary folder do no harm
    }
}

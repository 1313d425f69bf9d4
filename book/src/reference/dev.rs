//! The reference of `./dev`, generated from its help.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::{ReferenceError, head};

fn help(root: &Path, about: &[&str]) -> Result<String, ReferenceError> {
    let failed = |message: String| ReferenceError::Program {
        program: format!("./dev help {}", about.join(" ")),
        message,
    };
    let mut command = Command::new(root.join("dev"));
    let output = command.arg("help").args(about).env_remove("FLASHSALE_STACK").output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) fn page(root: &Path) -> Result<String, ReferenceError> {
    let overview = help(root, &[])?;
    let mut page = head("`./dev`", "./dev help");
    let _ =
        write!(page, "The developer's commands in a clone of this repository.\n\n```text\n{overview}```\n");
    let named = overview.lines().filter_map(|line| line.strip_prefix("  "));
    let commands = named.filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    for command in commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        let _ = write!(page, "\n## `./dev {command}`\n\n```text\n{}```\n", help(root, &[command])?);
    }
    Ok(page)
}

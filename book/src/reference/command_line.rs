//! The reference of `flashsale`, generated from its help.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::{ReferenceError, head};

/// Returns the path of the program: next to this one, or some folders above it (`deps/`, `examples/`).
fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    own.ancestors().skip(1).take(3).map(|folder| folder.join("flashsale")).find(|path| path.is_file())
}

fn help(words: &[&str]) -> Result<String, ReferenceError> {
    let failed = |message: String| ReferenceError::Program {
        program: format!("flashsale help {}", words.join(" ")),
        message,
    };
    let program =
        program().ok_or_else(|| failed("the program is not built (cargo build --bins)".to_owned()))?;
    // Help shows the values of environment variables, so that the environment is cleared.
    let output = Command::new(program).arg("help").args(words).env_clear().output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// Returns the commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let rest = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let lines = rest.lines().take_while(|line| !line.is_empty());
    // A long description continues in lines that are indented further.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

pub(super) fn page() -> Result<String, ReferenceError> {
    let mut page = head("`flashsale`", "flashsale help");
    page.push_str(
        "The operator's command line. In a clone `./dev flashsale` runs it with the address and the token of the running\n\
         stack.\n",
    );
    let mut waiting: Vec<Vec<String>> = vec![vec![]];
    while let Some(words) = waiting.pop() {
        let words_text: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = help(&words_text)?;
        if !words.is_empty() {
            let _ = write!(page, "\n## `flashsale {}`\n", words.join(" "));
        }
        let _ = write!(page, "\n```text\n{}\n```\n", text.trim_matches('\n'));
        // In reverse order, because the last element is processed first.
        for name in listed(&text).into_iter().rev() {
            waiting.push(words.iter().cloned().chain([name]).collect());
        }
    }
    Ok(page)
}

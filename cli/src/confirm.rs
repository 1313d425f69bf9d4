//! Confirmation of actions that cannot be undone, or that interrupt selling.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Returns if `yes` is set or the user confirms at the terminal. Without a terminal, `yes` is required.
pub(crate) fn require(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{question} Standard input is not a terminal: confirm with --yes."
        )));
    }
    let mut answer = String::new();
    let read =
        write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stdin().lock().read_line(&mut answer));
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::Usage("Not confirmed: nothing was changed.".into())),
    }
}

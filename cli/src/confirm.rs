//! Asks before something that cannot be taken back, or that stops selling for a moment.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Goes on if `yes` was given or somebody at the terminal says so; refuses where nobody can be asked.
pub(crate) fn ask(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question} Nobody can be asked here: give --yes.")));
    }
    let mut answer = String::new();
    let asked =
        write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stdin().lock().read_line(&mut answer));
    match (asked, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::Usage("Not confirmed: nothing was done.".into())),
    }
}

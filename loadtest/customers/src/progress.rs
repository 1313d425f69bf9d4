//! The live line of a run: on a terminal it redraws itself, elsewhere nothing is printed.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line with a bar, and a message that the run keeps up to date.
pub fn bar(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template("  {prefix} {wide_bar:.dim} {pos}/{len}  {msg}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar.set_prefix(what.to_owned());
    bar
}

/// A line without an end, for waiting.
pub fn waiting(what: &str) -> ProgressBar {
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {msg}") {
        line.set_style(style);
    }
    line.set_prefix(what.to_owned());
    line.enable_steady_tick(Duration::from_millis(120));
    line
}

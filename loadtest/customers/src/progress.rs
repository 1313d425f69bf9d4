//! Progress bars on standard error. On a terminal they redraw themselves; elsewhere nothing is printed.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Creates a progress bar of `length` steps with a message that the run updates.
pub fn bar(length: u64, name: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template("  {prefix} {wide_bar:.dim} {pos}/{len}  {msg}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar.set_prefix(name.to_owned());
    bar
}

/// Creates a spinner for a wait of unknown length.
pub fn spinner(name: &str) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {msg}") {
        spinner.set_style(style);
    }
    spinner.set_prefix(name.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

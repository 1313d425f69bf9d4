//! Prints each violation as `path:line: rule: text`, and exits with 1 if there is one.

use std::process::ExitCode;

fn main() -> ExitCode {
    let folders: Vec<String> = std::env::args().skip(1).collect();
    let report = match tidy::check(&tidy::root(), &folders) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    for violation in &report.violations {
        println!("{violation}");
    }
    eprintln!(
        "{} violations; {:.2} banned words per 1,000 comment lines ({} in {})",
        report.violations.len(),
        report.words_per_thousand(),
        report.words_in_comments,
        report.comment_lines
    );
    ExitCode::from(u8::from(!report.violations.is_empty()))
}

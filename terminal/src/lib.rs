//! Plain text tables and headings for a terminal: numbers to the right, words to the left, no colours
//! where nobody looks.

use std::fmt;
use std::io::IsTerminal;

use unicode_width::UnicodeWidthStr;

/// Rows of text in aligned columns.
#[derive(Debug, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With a header, which may be empty.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|text| (*text).to_owned()).collect(), rows: Vec::new() }
    }
    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }
    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn is_number(cell: &str) -> bool {
    cell.bytes().any(|byte| byte.is_ascii_digit())
        && cell.chars().all(|c| c.is_ascii_digit() || " .,+-–%x×msµhMiBk/".contains(c))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).chain([self.header.len()]).max().unwrap_or(0);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column: usize| {
            let rows = self.rows.iter().chain([&self.header]);
            rows.map(|row| cell(row, column).width()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        // A column is numeric when every filled cell of it is a number.
        let numeric: Vec<_> = (0..columns)
            .map(|column| {
                let mut filled = self
                    .rows
                    .iter()
                    .map(|row| cell(row, column))
                    .filter(|c| !c.is_empty() && c != "–")
                    .peekable();
                filled.peek().is_some() && filled.all(|cell| is_number(&cell))
            })
            .collect();
        let mut line = |row: &[String]| {
            let mut text = String::from("  ");
            for column in 0..columns {
                let (cell, width) = (cell(row, column), widths[column]);
                let pad = " ".repeat(width - cell.width());
                if numeric[column] {
                    text.push_str(&pad);
                    text.push_str(&cell);
                } else {
                    text.push_str(&cell);
                    text.push_str(&pad);
                }
                text.push_str("  ");
            }
            writeln!(f, "{}", text.trim_end())
        };
        if self.header.iter().any(|cell| !cell.is_empty()) {
            line(&self.header)?;
            let rule: Vec<_> = widths.iter().map(|width| "─".repeat(*width)).collect();
            line(&rule)?;
        }
        for row in &self.rows {
            line(row)?;
        }
        Ok(())
    }
}

/// Thousands set apart: `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How a text stands out on a terminal; plain elsewhere, and where `NO_COLOR` is set.
#[derive(Debug, Clone, Copy)]
pub enum Style {
    /// A heading.
    Bold,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Less important.
    Dim,
}

/// Whether colours belong into a stream: on a terminal that knows them, unless `NO_COLOR` is set
/// (<https://no-color.org>: and not empty).
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// The text in that style, if standard output is a terminal.
pub fn styled(style: Style, text: &str) -> String {
    styled_if(is_coloured(&std::io::stdout()), style, text)
}

/// The text in that style, or plain.
pub fn styled_if(coloured: bool, style: Style, text: &str) -> String {
    if !coloured {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => 1,
        Style::Good => 32,
        Style::Bad => 31,
        Style::Dim => 2,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// A heading with an empty line before it.
pub fn heading(text: &str) -> String {
    format!("\n{}", styled(Style::Bold, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_left_and_numbers_right() {
        let mut table = Table::new(&["what", "count"]);
        table.row(["offered", "20,000"]).row(["sold out", "7"]).row(["none", "–"]);
        assert_eq!(
            table.to_string(),
            "  what       count\n  ────────  ──────\n  offered   20,000\n  sold out       7\n  none           –\n"
        );
    }

    #[test]
    fn letters_that_are_two_columns_wide_count_as_two() {
        let mut table = Table::new(&["name", "count"]);
        table.row(["한정판", "7"]).row(["mug", "12"]);
        assert_eq!(table.to_string(), "  name    count\n  ──────  ─────\n  한정판      7\n  mug        12\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}

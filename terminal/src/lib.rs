//! The common format of tables and headings in a terminal. [`comfy_table`] lays out the tables; [`anstyle`] and [`anstream`] do
//! the colours. This crate only decides on alignment and style.

use std::fmt;
use std::io::stdout;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::AnsiColor;
use comfy_table::{CellAlignment, ContentLineStyle, LineStyle, TableStyle};

pub use contract::money::thousands;

/// Columns with a gap between them, and a rule below each header.
const RULED_HEADER: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction(' '))
    .header_separator(LineStyle::none().fill('─').junction(' '))
    .content_lines(ContentLineStyle::none().junction(' '));

/// A table with a header. Numeric columns are aligned to the right, others to the left.
#[derive(Debug, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table. A header whose cells are all empty is not printed.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|text| (*text).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// Returns whether the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns whether every filled cell of a column is a number.
    fn is_numeric(&self, column: usize) -> bool {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let mut filled = cells.filter(|cell| !cell.is_empty() && *cell != "–").peekable();
        filled.peek().is_some() && filled.all(|cell| is_number(cell))
    }
}

fn is_number(cell: &str) -> bool {
    cell.bytes().any(|byte| byte.is_ascii_digit())
        && cell.chars().all(|c| c.is_ascii_digit() || " .,+-–%x×msµhMiBk/".contains(c))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(RULED_HEADER);
        if self.header.iter().any(|cell| !cell.is_empty()) {
            table.set_header(&self.header);
        }
        table.add_rows(&self.rows);
        let last = table.column_count().saturating_sub(1);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, u16::from(index < last)));
            if self.is_numeric(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            writeln!(f, "  {}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The role of a text, which determines its style in a terminal.
#[derive(Debug, Clone, Copy)]
pub enum Style {
    /// A heading, in bold.
    Bold,
    /// A state or value that is fine, in green.
    Good,
    /// A state or value that needs attention, in red.
    Bad,
    /// A less important text, dimmed.
    Dim,
}

/// Returns whether a stream supports colours: it is a terminal that does, and neither `NO_COLOR` nor `CLICOLOR` forbids them.
pub fn is_coloured(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Returns the text in this style, or plain if standard output has no colours.
pub fn styled(style: Style, text: &str) -> String {
    styled_if(is_coloured(&stdout()), style, text)
}

/// Returns the text in this style, or plain.
pub fn styled_if(coloured: bool, style: Style, text: &str) -> String {
    if !coloured {
        return text.to_owned();
    }
    let style = match style {
        Style::Bold => anstyle::Style::new().bold(),
        Style::Good => AnsiColor::Green.on_default(),
        Style::Bad => AnsiColor::Red.on_default(),
        Style::Dim => anstyle::Style::new().dimmed(),
    };
    format!("{style}{text}{style:#}")
}

/// Returns a heading with an empty line before it.
pub fn heading(text: &str) -> String {
    format!("\n{}", styled(Style::Bold, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_aligned_left_and_numbers_right() {
        let mut table = Table::new(&["what", "count"]);
        table.row(["offered", "20,000"]).row(["sold out", "7"]).row(["none", "–"]);
        assert_eq!(
            table.to_string(),
            "  what       count\n  ───────── ──────\n  offered   20,000\n  sold out       7\n  none           –\n"
        );
    }

    #[test]
    fn a_table_without_a_header_has_no_rule() {
        let mut table = Table::new(&["", ""]);
        table.row(["status", "open"]).row(["units", "many"]);
        assert_eq!(table.to_string(), "  status  open\n  units   many\n");
    }

    #[test]
    fn wide_letters_count_as_two_columns() {
        let mut table = Table::new(&["name", "count"]);
        table.row(["한정판", "7"]).row(["mug", "12"]);
        assert_eq!(table.to_string(), "  name    count\n  ─────── ─────\n  한정판      7\n  mug        12\n");
    }

    #[test]
    fn styles_are_ansi_sequences_or_nothing() {
        assert_eq!(styled_if(true, Style::Bad, "down"), "\x1b[31mdown\x1b[0m");
        assert_eq!(styled_if(false, Style::Bad, "down"), "down");
    }
}

//! Orders as comma-separated values (RFC 4180).

use contract::wire;
use std::io::{self, Write};

use super::order::{Cell, Row, Shape};

/// A writer of CSV rows.
pub(super) struct Csv<W: Write> {
    writer: csv::Writer<W>,
    shape: Shape,
}

impl<W: Write> Csv<W> {
    /// Starts a file and writes the header.
    pub(super) fn new(out: W, shape: Shape) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        let names = shape.columns().into_iter().map(|column| column.name);
        writer.write_record(names.chain(lines_column(shape)))?;
        Ok(Self { writer, shape })
    }

    pub(super) fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        for column in self.shape.columns() {
            match (column.cell)(row) {
                Cell::Text(text) => self.writer.write_field(text.as_bytes())?,
                Cell::Integer(number) => self.writer.write_field(number.to_string())?,
                Cell::Time(at) => self.writer.write_field(at.to_string())?,
                Cell::Nothing => self.writer.write_field("")?,
            }
        }
        if self.shape == Shape::Orders {
            self.writer.write_field(wire::encode(&row.order.lines))?;
        }
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    /// Flushes the rest and returns the output.
    pub(super) fn finish(self) -> io::Result<W> {
        self.writer
            .into_inner()
            .map_err(|error| io::Error::new(error.error().kind(), error.error().to_string()))
    }
}

fn lines_column(shape: Shape) -> Option<&'static str> {
    (shape == Shape::Orders).then_some("lines")
}

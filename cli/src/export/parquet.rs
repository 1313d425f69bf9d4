//! Orders as Apache Parquet, without Arrow: a few columns of texts and numbers do not need it.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;

use super::order::{Cell, Kind, Row, Shape};

/// Rows of one group: what is kept in memory at once, some ten megabytes.
const GROUP_ROWS: usize = 20_000;

/// A column of the group that is being filled.
#[derive(Debug, Default)]
struct Filling {
    texts: Vec<ByteArray>,
    numbers: Vec<i64>,
    /// 1 where there is a value; for columns that may have none.
    defined: Vec<i16>,
    /// 0 where a row begins; for lists.
    repeated: Vec<i16>,
}

/// Writes rows, a group at a time.
pub(super) struct Parquet<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    shape: Shape,
    columns: Vec<Filling>,
    /// SKU, quantity and price of the list `lines`.
    lines: [Filling; 3],
    rows: usize,
}

fn schema(shape: Shape) -> String {
    let mut fields = String::new();
    for column in shape.columns() {
        fields += &match column.kind {
            Kind::Text => format!("required binary {} (STRING);\n", column.name),
            Kind::MaybeText => format!("optional binary {} (STRING);\n", column.name),
            Kind::Integer => format!("required int64 {};\n", column.name),
            Kind::Time => format!("required int64 {} (TIMESTAMP(MILLIS,true));\n", column.name),
        };
    }
    if shape == Shape::Orders {
        fields += "required group lines (LIST) { repeated group list { required group element {
            required binary sku (STRING); required int64 quantity; required int64 unit_price; } } }\n";
    }
    format!("message orders {{\n{fields}}}")
}

/// As the failure of writing that it is.
fn io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

impl<W: Write + Send> Parquet<W> {
    /// Begins a file.
    pub(super) fn new(out: W, shape: Shape) -> io::Result<Self> {
        let schema = parse_message_type(&schema(shape)).map_err(io)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(io)?;
        let columns = shape.columns().iter().map(|_| Filling::default()).collect();
        Ok(Self { writer, shape, columns, lines: Default::default(), rows: 0 })
    }

    pub(super) fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        for (column, filling) in self.shape.columns().into_iter().zip(&mut self.columns) {
            let cell = (column.cell)(row);
            if column.kind == Kind::MaybeText {
                filling.defined.push((cell != Cell::Nothing).into());
            }
            match cell {
                Cell::Text(text) => filling.texts.push(text.as_bytes().to_vec().into()),
                Cell::Integer(number) => filling.numbers.push(number as i64), // below 2^53
                Cell::Time(at) => filling.numbers.push(at.0 as i64),
                Cell::Nothing => {}
            }
        }
        if self.shape == Shape::Orders {
            self.fill_lines(row);
        }
        self.rows += 1;
        if self.rows == GROUP_ROWS { self.flush() } else { Ok(()) }
    }

    fn fill_lines(&mut self, row: &Row<'_>) {
        let [skus, quantities, prices] = &mut self.lines;
        for (at, line) in row.order.lines.iter().enumerate() {
            skus.texts.push(line.sku.as_str().as_bytes().to_vec().into());
            quantities.numbers.push(line.quantity as i64);
            prices.numbers.push(line.unit_price as i64);
            for filling in [&mut *skus, &mut *quantities, &mut *prices] {
                filling.defined.push(1);
                filling.repeated.push((at > 0).into());
            }
        }
        if row.order.lines.is_empty() {
            for filling in &mut self.lines {
                filling.defined.push(0);
                filling.repeated.push(0);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(io)?;
        let kinds = self.shape.columns().into_iter().map(|column| column.kind);
        for (kind, filling) in kinds.zip(&mut self.columns) {
            write_column(&mut group, kind, std::mem::take(filling)).map_err(io)?;
        }
        if self.shape == Shape::Orders {
            let kinds = [Kind::Text, Kind::Integer, Kind::Integer];
            for (kind, filling) in kinds.into_iter().zip(&mut self.lines) {
                write_column(&mut group, kind, std::mem::take(filling)).map_err(io)?;
            }
        }
        group.close().map_err(io)?;
        self.rows = 0;
        Ok(())
    }

    /// Writes what is left, and the footer without which it is no file; returns where it went.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.rows > 0 {
            self.flush()?;
        }
        self.writer.into_inner().map_err(io)
    }
}

fn write_column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    kind: Kind,
    filling: Filling,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the schema has fewer columns than the rows".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    let levels = |levels: &Vec<i16>| (!levels.is_empty()).then(|| levels.clone());
    let (defined, repeated) = (levels(&filling.defined), levels(&filling.repeated));
    match kind {
        Kind::Text | Kind::MaybeText => {
            let typed = column.typed::<ByteArrayType>();
            typed.write_batch(&filling.texts, defined.as_deref(), repeated.as_deref())?;
        }
        Kind::Integer | Kind::Time => {
            let typed = column.typed::<Int64Type>();
            typed.write_batch(&filling.numbers, defined.as_deref(), repeated.as_deref())?;
        }
    }
    column.close()
}

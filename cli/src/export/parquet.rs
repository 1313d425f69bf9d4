//! Orders as Apache Parquet, without Arrow, which a few columns of texts and numbers do not need.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;

use super::order::{Cell, Kind, Row, Shape};

/// The number of rows per group. A group is kept in memory and takes some ten megabytes.
const GROUP_ROWS: usize = 20_000;

/// The buffered values of a column of the present group.
#[derive(Debug, Default)]
struct ColumnBuffer {
    texts: Vec<ByteArray>,
    numbers: Vec<i64>,
    /// Definition levels of an optional column: 1 for a value, 0 for none.
    defined: Vec<i16>,
    /// Repetition levels of a list: 0 where a row begins.
    repeated: Vec<i16>,
}

/// A writer of Parquet rows, one group at a time.
pub(super) struct Parquet<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    shape: Shape,
    columns: Vec<ColumnBuffer>,
    /// The SKU, quantity and price of the list `lines`.
    lines: [ColumnBuffer; 3],
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

/// Returns the I/O error inside a Parquet error, if there is one.
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
    /// Starts a file with the schema of a shape.
    pub(super) fn new(out: W, shape: Shape) -> io::Result<Self> {
        let schema = parse_message_type(&schema(shape)).map_err(io)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(io)?;
        let columns = shape.columns().iter().map(|_| ColumnBuffer::default()).collect();
        Ok(Self { writer, shape, columns, lines: Default::default(), rows: 0 })
    }

    pub(super) fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        for (column, buffer) in self.shape.columns().into_iter().zip(&mut self.columns) {
            let cell = (column.cell)(row);
            if column.kind == Kind::MaybeText {
                buffer.defined.push((cell != Cell::Nothing).into());
            }
            match cell {
                Cell::Text(text) => buffer.texts.push(text.as_bytes().to_vec().into()),
                Cell::Integer(number) => buffer.numbers.push(number as i64), // below 2^53
                Cell::Time(at) => buffer.numbers.push(at.0 as i64),
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
            for buffer in [&mut *skus, &mut *quantities, &mut *prices] {
                buffer.defined.push(1);
                buffer.repeated.push((at > 0).into());
            }
        }
        if row.order.lines.is_empty() {
            for buffer in &mut self.lines {
                buffer.defined.push(0);
                buffer.repeated.push(0);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(io)?;
        let kinds = self.shape.columns().into_iter().map(|column| column.kind);
        for (kind, buffer) in kinds.zip(&mut self.columns) {
            write_column(&mut group, kind, std::mem::take(buffer)).map_err(io)?;
        }
        if self.shape == Shape::Orders {
            let kinds = [Kind::Text, Kind::Integer, Kind::Integer];
            for (kind, buffer) in kinds.into_iter().zip(&mut self.lines) {
                write_column(&mut group, kind, std::mem::take(buffer)).map_err(io)?;
            }
        }
        group.close().map_err(io)?;
        self.rows = 0;
        Ok(())
    }

    /// Writes the remaining rows and the footer, and returns the output.
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
    buffer: ColumnBuffer,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the schema has fewer columns than the rows".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    let levels = |levels: &Vec<i16>| (!levels.is_empty()).then(|| levels.clone());
    let (defined, repeated) = (levels(&buffer.defined), levels(&buffer.repeated));
    match kind {
        Kind::Text | Kind::MaybeText => {
            let typed = column.typed::<ByteArrayType>();
            typed.write_batch(&buffer.texts, defined.as_deref(), repeated.as_deref())?;
        }
        Kind::Integer | Kind::Time => {
            let typed = column.typed::<Int64Type>();
            typed.write_batch(&buffer.numbers, defined.as_deref(), repeated.as_deref())?;
        }
    }
    column.close()
}

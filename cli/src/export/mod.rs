//! `flashsale export`: writes all settled orders of a sale to a file, page by page. Memory is bounded for any number of
//! orders: one page of orders and one group of rows.

mod csv;
mod order;
mod parquet;
mod target;

use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use terminal::thousands;

use self::csv::Csv;
use self::order::{Order, Shape};
use self::parquet::Parquet;
use self::target::Target;
use crate::api::{Api, Call};
use crate::arguments::{Export, Format};
use crate::failure::Failure;
use crate::output::OutputFormat;

/// The number of orders per page: the maximum that the server returns.
const PAGE_ORDERS: u32 = 500;

#[derive(Deserialize)]
struct Page {
    orders: Vec<Order>,
    next_cursor: Option<String>,
}

/// The numbers of orders and rows that were written.
#[derive(Default)]
struct Written {
    orders: u64,
    rows: u64,
}

/// An open file in one of the formats.
enum File {
    Csv(Box<Csv<Target>>),
    Parquet(Box<Parquet<Target>>),
}

impl File {
    fn new(format: Format, target: Target, shape: Shape) -> io::Result<Self> {
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(Csv::new(target, shape)?)),
            Format::Parquet => Self::Parquet(Box::new(Parquet::new(target, shape)?)),
        })
    }

    fn write(&mut self, row: &order::Row<'_>) -> io::Result<()> {
        match self {
            Self::Csv(csv) => csv.write(row),
            Self::Parquet(parquet) => parquet.write(row),
        }
    }

    fn finish(self) -> io::Result<Target> {
        match self {
            Self::Csv(csv) => csv.finish(),
            Self::Parquet(parquet) => parquet.finish(),
        }
    }
}

/// Runs `flashsale export`.
pub(crate) async fn run(api: &Api, output: OutputFormat, export: &Export) -> Result<(), Failure> {
    let to_stdout = export.output == Path::new("-");
    let by_name = export.output.extension().is_some_and(|extension| extension == "parquet");
    let format = export.format.unwrap_or(if by_name { Format::Parquet } else { Format::Csv });
    if to_stdout && (format == Format::Parquet || output == OutputFormat::Json) {
        return Err(Failure::Usage("Parquet and --json require a file: pass --output FILE.".into()));
    }
    let shape = if export.lines { Shape::Lines } else { Shape::Orders };
    // The first page is fetched before the file is created, so that an unknown sale creates none.
    let first = page(api, export, None).await?;
    let target = Target::open(&export.output, export.force)?;
    let failed = |error: io::Error| match to_stdout {
        true => Failure::Output(error),
        false => Failure::file(&export.output, error),
    };
    // An incomplete file is removed when it is dropped, also after an interruption.
    let written = tokio::select! {
        written = write(api, export, first, format, target, shape, failed) => written,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    let written = match written {
        // The output has closed the pipe.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        written => written?,
    };
    if to_stdout {
        return Ok(());
    }
    let format = if format == Format::Csv { "csv" } else { "parquet" };
    let answer = json!({
        "sale_id": export.sale, "file": export.output.display().to_string(), "format": format,
        "orders": written.orders, "rows": written.rows,
    });
    output.print(&answer, || {
        format!(
            "{} orders, {} rows: {}\n",
            thousands(written.orders),
            thousands(written.rows),
            export.output.display()
        )
    })
}

async fn page(api: &Api, export: &Export, cursor: Option<String>) -> Result<Page, Failure> {
    let path = ["admin", "v1", "sales", export.sale.as_str(), "orders"];
    api.call(Call::get(&path).with("limit", Some(PAGE_ORDERS)).with("cursor", cursor)).await
}

async fn write(
    api: &Api,
    export: &Export,
    first: Page,
    format: Format,
    target: Target,
    shape: Shape,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<Written, Failure> {
    let mut written = Written::default();
    let mut file = File::new(format, target, shape).map_err(&failed)?;
    let mut next = first;
    loop {
        for order in &next.orders {
            for row in shape.rows(order) {
                file.write(&row).map_err(&failed)?;
                written.rows += 1;
            }
            written.orders += 1;
        }
        match next.next_cursor {
            None => break,
            cursor => next = page(api, export, cursor).await?,
        }
    }
    file.finish().map_err(&failed)?.commit()?;
    Ok(written)
}

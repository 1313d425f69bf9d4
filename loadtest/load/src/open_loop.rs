//! `load open-loop`: orders at a fixed rate of arrivals, regardless of how the server responds, and the
//! latencies of the customers.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use customers::admin::{self, Admin};
use customers::customer_client::{CustomerClient, Request};
use customers::http::Authority;
use customers::latency::ms;
use customers::pool::Pool;
use customers::settings::{Programs, parse_duration};
use customers::stats::Stats;
use customers::{arrivals, journal, progress, request, sales, stack};
use terminal::{Table, heading, thousands};

use crate::goose_support;
use crate::html_report::{self, Page};

/// The highest number of requests in one run: they and their responses are kept until the end.
const REQUESTS_MAX: u64 = 20_000_000;
/// The connections to each gateway that are opened before the run.
const WARM_CONNECTIONS: usize = 16;

/// The arguments of `load open-loop`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Id of the sale; without it a new sale is created and opened.
    #[arg(long, value_name = "SALE")]
    pub sale: Option<String>,
    /// Units of the new sale.
    #[arg(long, default_value_t = 10_000, value_name = "UNITS")]
    pub stock: u64,
    /// SKU that every customer orders [default: the sale's first item].
    #[arg(long, value_name = "SKU")]
    pub sku: Option<String>,
    /// Units that every customer orders.
    #[arg(long, default_value_t = 1, value_name = "UNITS")]
    pub quantity: i64,
    /// Arrivals per second, each of another customer.
    #[arg(long, default_value_t = 2_000, value_name = "PER SECOND")]
    pub rate: u64,
    /// Time during which customers arrive.
    #[arg(long, default_value = "10s", value_parser = parse_duration, value_name = "TIME")]
    pub duration: Duration,
    /// Highest number of connections to each gateway.
    #[arg(long, default_value_t = 256, value_name = "CONNECTIONS")]
    pub connections: usize,
    /// Output file of the journal, for `check` [default: open-loop-journal.jsonl in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Output file of the HTML report [default: open-loop.html in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Addresses of the programs.
    #[command(flatten)]
    pub programs: Programs,
}

/// Runs the load, prints the result and writes the report.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let seconds = arguments.duration.as_secs_f64();
    let count = (arguments.rate as f64 * seconds).round() as u64;
    anyhow::ensure!(
        (1..=REQUESTS_MAX).contains(&count),
        "{count} requests: a run has 1 to {REQUESTS_MAX} requests"
    );
    let report = stack::output_path(arguments.report.as_deref(), "open-loop.html");
    let journal_file = stack::output_path(arguments.journal.as_deref(), "open-loop-journal.jsonl");
    let gateways = Authority::resolve_all(&arguments.programs.gateways())?;
    let (sale, sku) = target(arguments, &gateways).await?;

    let (journal, writer) = journal::create(&journal_file).context("the journal")?;
    let pools = Pool::open_all(gateways, arguments.connections, WARM_CONNECTIONS).await?;
    let client = CustomerClient::new(pools, journal);
    let begun = Instant::now();
    let stats = drive(arguments, client, count, &sale, &sku).await?;
    let took = begun.elapsed();
    let entries = writer.finish().context("the journal")?;

    let subtitle = format!(
        "{} orders/s for {seconds} s at sale {sale}, {} of {sku} each",
        thousands(arguments.rate),
        arguments.quantity
    );
    html_report::write(&report, &page(&subtitle, &stats, took)).context("the report")?;
    print!("{}", summary(&subtitle, &stats, took));
    goose_support::print_outputs(&sale, &report, &journal_file, entries);
    Ok(ExitCode::SUCCESS)
}

async fn target(arguments: &Arguments, gateways: &[Authority]) -> anyhow::Result<(String, String)> {
    let (sale, view) = match &arguments.sale {
        Some(sale) => (sale.clone(), admin::wait_until_selling(gateways, sale).await?),
        None => {
            let sale = sales::unique_id("open-loop");
            let admin = Admin::new(&arguments.programs.admin_url)?;
            let terms = sales::single("Open loop", arguments.stock);
            let view = admin::create_sale(&admin, gateways, &sale, &terms).await?;
            (sale, view)
        }
    };
    let first = view.items.first().map(|item| item.sku.clone());
    let sku = arguments.sku.clone().or(first).context("the sale has no items")?;
    Ok((sale, sku))
}

/// Lets all customers arrive and waits until they have finished.
async fn drive(
    arguments: &Arguments,
    client: CustomerClient,
    count: u64,
    sale: &str,
    sku: &str,
) -> anyhow::Result<Stats> {
    let client = Arc::new(client);
    let bar = progress::bar(count, "open loop");
    let order = request::order_with_lines(&[(sku, arguments.quantity)]);
    let prefix = sales::unique_id("customer");
    let on_progress = |finished| {
        bar.set_position(finished);
        bar.set_message(client.stats().progress_line());
    };
    let customer = |n: u64, intended| {
        let name = format!("{prefix}-{n}");
        let request = Request::order(sale, &name, &name, order.clone());
        let client = Arc::clone(&client);
        async move {
            client.send_with_retries(&request, n as usize, intended).await;
        }
    };
    arrivals::run(count, arguments.duration, on_progress, customer).await;
    bar.finish_and_clear();
    Ok(Arc::into_inner(client).context("a customer is still running")?.into_stats())
}

fn summary(subtitle: &str, stats: &Stats, took: Duration) -> String {
    let mut table = Table::default();
    table.row(["accepted".to_owned(), stats.accepted.summary()]);
    table.row(["refused".to_owned(), stats.refused.summary()]);
    let mut responses = Table::new(&["response", "count"]);
    for (name, n) in stats.responses_by_name() {
        responses.row([name, thousands(n)]);
    }
    format!(
        "{}\n  {} requests, {} orders, {:.0} orders/s, {:.1} s in total\n\n{table}\n{responses}\n",
        heading(subtitle),
        thousands(stats.requests),
        thousands(stats.orders.len() as u64),
        stats.orders.len() as f64 / took.as_secs_f64(),
        took.as_secs_f64(),
    )
}

fn page<'a>(subtitle: &str, stats: &'a Stats, took: Duration) -> Page<'a> {
    let refused: u64 = stats.refusals.values().sum();
    let figure = |value: String, caption: &str| (value, caption.to_owned());
    Page {
        title: "Open loop",
        subtitle: subtitle.to_owned(),
        figures: vec![
            figure(thousands(stats.requests), "requests"),
            figure(thousands(stats.orders.len() as u64), "orders accepted"),
            figure(thousands(refused), "refused"),
            figure(thousands(stats.unresolved), "without an outcome"),
            figure(format!("{} ms", ms(stats.accepted.ms_at(50.0))), "p50 of accepted"),
            figure(format!("{} ms", ms(stats.accepted.ms_at(99.0))), "p99 of accepted"),
            figure(format!("{:.1} s", took.as_secs_f64()), "in total"),
        ],
        accepted: &stats.accepted,
        refused: &stats.refused,
        series: &stats.series,
        outcomes: stats.responses_by_name(),
    }
}

//! `loadtest surge`: orders at a fixed rate, whatever the server does, and what customers felt.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use crate::report_page::{self, Page};
use customers::admin::{self, Admin};
use customers::arrivals;
use customers::http::Authority;
use customers::journal;
use customers::latency::ms;
use customers::pool;
use customers::progress;
use customers::request;
use customers::sales;
use customers::settings::{Programs, parse_duration};
use customers::shop::{Request, Shop};
use customers::stack;
use customers::tally::Tally;
use terminal::{Table, heading, thousands};

/// Highest number of requests in one run: they and their answers are kept until the end.
const REQUESTS_MAX: u64 = 20_000_000;

/// How hard, how long, at what.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The sale; without it a fresh one is made and opened.
    #[arg(long, value_name = "SALE")]
    pub sale: Option<String>,
    /// Units of the sale that is made.
    #[arg(long, default_value_t = 10_000, value_name = "UNITS")]
    pub stock: u64,
    /// What every customer orders; default: the sale's first item.
    #[arg(long, value_name = "SKU")]
    pub sku: Option<String>,
    /// How many of it.
    #[arg(long, default_value_t = 1, value_name = "UNITS")]
    pub quantity: i64,
    /// Arrivals a second, each another customer.
    #[arg(long, default_value_t = 2_000, value_name = "PER SECOND")]
    pub rate: u64,
    /// How long customers arrive.
    #[arg(long, default_value = "10s", value_parser = parse_duration, value_name = "TIME")]
    pub duration: Duration,
    /// Connections to each gateway at most.
    #[arg(long, default_value_t = 256, value_name = "CONNECTIONS")]
    pub connections: usize,
    /// Where the journal goes, for `loadtest check` [default: surge-journal.jsonl in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Where the HTML report goes [default: surge.html in the stack's load folder].
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where the programs are.
    #[command(flatten)]
    pub programs: Programs,
}

/// Runs and reports.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let seconds = arguments.duration.as_secs_f64();
    let count = (arguments.rate as f64 * seconds).round() as u64;
    anyhow::ensure!((1..=REQUESTS_MAX).contains(&count), "{count} requests: 1 to {REQUESTS_MAX} make a run");
    let report = stack::output(arguments.report.as_deref(), "surge.html");
    let journal_file = stack::output(arguments.journal.as_deref(), "surge-journal.jsonl");
    let gateways = Authority::resolve_all(&arguments.programs.gateways())?;
    let (sale, sku) = target(arguments, &gateways).await?;

    let (journal, writer) = journal::create(&journal_file).context("the journal")?;
    let pools = pool::open_all(gateways, arguments.connections, 16).await?;
    let line = progress::bar(count, "surge");
    let shop = Arc::new(Shop::open(pools, journal));
    let order = request::body(&[(&sku, arguments.quantity)]);
    let run = sales::fresh_id("surge");
    let begun = Instant::now();
    let watched = Arc::clone(&shop);
    let show = move |line: &indicatif::ProgressBar| line.set_message(watched.tally().progress_line());
    let (customers, sale_id) = (Arc::clone(&shop), sale.clone());
    arrivals::run(count, arguments.duration, &line, &show, move |n, intended| {
        let name = format!("{run}-{n}");
        let request = Request::order(&sale_id, &name, &name, order.clone());
        let shop = Arc::clone(&customers);
        async move {
            shop.ask(&request, n as usize, intended).await;
        }
    })
    .await;
    drop(show);
    let took = begun.elapsed();
    line.finish_and_clear();
    let tally = Arc::into_inner(shop).context("a customer is still running")?.close();
    let written = writer.finish().context("the journal")?;

    let subtitle = format!(
        "{} orders/s for {seconds} s at sale {sale}, {} of {sku} each",
        thousands(arguments.rate),
        arguments.quantity
    );
    report_page::write(&report, &page(&subtitle, &tally, took)).context("the report")?;
    print!("{}", summary(&subtitle, &tally, took));
    println!("  report   {}", report.display());
    println!("  journal  {} ({} answers)", journal_file.display(), thousands(written));
    println!("  check    ./dev load check --sale {sale} --journal {}", journal_file.display());
    Ok(ExitCode::SUCCESS)
}

async fn target(arguments: &Arguments, gateways: &[Authority]) -> anyhow::Result<(String, String)> {
    let (sale, view) = match &arguments.sale {
        Some(sale) => (sale.clone(), admin::until_selling(gateways, sale).await?),
        None => {
            let sale = sales::fresh_id("surge");
            let admin = Admin::at(&arguments.programs.admin_url)?;
            let terms = sales::single("Surge", arguments.stock);
            let view = admin::make(&admin, gateways, &sale, &terms).await?;
            (sale, view)
        }
    };
    let first = view.items.first().map(|item| item.sku.clone());
    let sku = arguments.sku.clone().or(first).context("the sale offers nothing")?;
    Ok((sale, sku))
}

fn summary(subtitle: &str, tally: &Tally, took: Duration) -> String {
    let mut table = Table::default();
    table.row(["accepted".to_owned(), tally.accepted.summary()]);
    table.row(["refused".to_owned(), tally.refused.summary()]);
    let mut answers = Table::new(&["answer", "count"]);
    for (name, n) in tally.named_answers() {
        answers.row([name, thousands(n)]);
    }
    format!(
        "{}\n  {} requests, {} orders, {:.0} orders/s, {:.1} s in all\n\n{table}\n{answers}\n",
        heading(subtitle),
        thousands(tally.requests),
        thousands(tally.orders.len() as u64),
        tally.orders.len() as f64 / took.as_secs_f64(),
        took.as_secs_f64(),
    )
}

fn page<'a>(subtitle: &str, tally: &'a Tally, took: Duration) -> Page<'a> {
    let refused: u64 = tally.refusals.values().sum();
    let figure = |value: String, caption: &str| (value, caption.to_owned());
    Page {
        title: "Surge",
        subtitle: subtitle.to_owned(),
        figures: vec![
            figure(thousands(tally.requests), "requests"),
            figure(thousands(tally.orders.len() as u64), "orders accepted"),
            figure(thousands(refused), "refused"),
            figure(thousands(tally.unanswered), "without an outcome"),
            figure(format!("{} ms", ms(tally.accepted.ms_at(50.0))), "p50 of accepted"),
            figure(format!("{} ms", ms(tally.accepted.ms_at(99.0))), "p99 of accepted"),
            figure(format!("{:.1} s", took.as_secs_f64()), "in all"),
        ],
        accepted: &tally.accepted,
        refused: &tally.refused,
        series: &tally.series,
        outcomes: tally.named_answers(),
    }
}

//! The demonstration: a burst of customers on a small stock, and the proof of its result.
//!
//! 1. [`sales`]: creates the sample sale, which stays open, and the burst sale of this run
//! 2. the burst: all customers of a [`customers::population`] arrive within a few seconds
//! 3. at the same time: [`settlement_lag`] measures the lag of settlement, [`page_probes`] the latency of open pages
//! 4. repeats after the sale has sold out; then the counts, the settlement and the invariants are reported
//! 5. [`order_lifecycle`]: orders are paid, declined, cancelled, expired, sold again, delivered and sent back
//! 6. [`funnel`], [`report`]: the final states of all orders, the invariants again, and the next steps
//! 7. [`pages`]: the pages that stay available, each of which is requested before it is listed

mod funnel;
mod order_lifecycle;
mod page_probes;
mod pages;
mod report;
mod sales;
mod settlement_lag;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use checker::evidence::{Evidence, Expectations};
use checker::finding::Finding;
use checker::report::Outcome;
use checker::settings::Services;
use clap::Args;
use contract::ids::SaleId;
use customers::customer_client::CustomerClient;
use customers::http::Authority;
use customers::journal::Entry;
use customers::personas::{self, PendingRepeat};
use customers::pool::Pool;
use customers::population::{self, Customer};
use customers::settings::{Programs, parse_duration};
use customers::stats::Stats;
use customers::{arrivals, journal, progress, stack};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use order_lifecycle::LifecycleResult;
use page_probes::{PageProbes, PageReport};
use sales::DemoSales;
use settlement_lag::{LagMonitor, SettlementLag};

/// The lowest number of customers per unit: the demonstration is about demand that exceeds supply.
const CUSTOMERS_PER_UNIT_MIN: u64 = 2;
/// The connections to each gateway that are opened before the burst.
const WARM_CONNECTIONS: usize = 32;

/// The arguments of the demonstration.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Customers of the burst.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000), value_name = "CUSTOMERS")]
    pub customers: u64,
    /// Units of the burst sale, over two items.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..), value_name = "UNITS")]
    pub units: u64,
    /// Time within which all customers arrive.
    #[arg(long, default_value = "4s", value_parser = parse_duration, value_name = "TIME")]
    pub within: Duration,
    /// Highest number of connections to each gateway.
    #[arg(long, default_value_t = 256, value_name = "CONNECTIONS")]
    pub connections: usize,
    /// Seed of the customers: what they order and how they misbehave.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// Folder of the journals and the findings [default: the stack's folder, otherwise the working folder].
    #[arg(long, env = "FLASHSALE_STACK_DIR", value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Longest wait for settlement, after the burst and in the end.
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub wait: Duration,
    /// Addresses of the programs.
    #[command(flatten)]
    pub programs: Programs,
    /// Addresses of the services.
    #[command(flatten)]
    pub services: Services,
}

/// The output files.
struct Files {
    journal: PathBuf,
    lifecycle_journal: PathBuf,
    burst_findings: PathBuf,
    findings: PathBuf,
}

impl Files {
    fn create_folder(arguments: &Arguments) -> anyhow::Result<Self> {
        let folder = arguments.out.clone().unwrap_or_default().join("demo");
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Self {
            journal: folder.join("journal.jsonl"),
            lifecycle_journal: folder.join("journal-lifecycle.jsonl"),
            burst_findings: folder.join("check-burst.json"),
            findings: folder.join("check.json"),
        })
    }

    fn all(&self) -> [&Path; 4] {
        [&self.journal, &self.lifecycle_journal, &self.burst_findings, &self.findings]
    }
}

/// The result of the burst.
struct BurstResult {
    stats: Stats,
    took: Duration,
    lag: SettlementLag,
    pages: PageReport,
}

/// Runs the demonstration and returns its exit code.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        arguments.customers >= arguments.units * CUSTOMERS_PER_UNIT_MIN,
        "--customers must be at least {CUSTOMERS_PER_UNIT_MIN} x --units: demand must exceed supply"
    );
    let gateways = Authority::resolve_all(&stack::gateway_urls(&arguments.programs)?)?;
    let urls: Vec<_> = gateways.iter().map(|gateway| format!("http://{}", gateway.host)).collect();
    let sales = DemoSales::create(arguments, &gateways).await?;
    println!("{}", report::opening(arguments, &sales.burst, &urls));
    let files = Files::create_folder(arguments)?;

    let burst = run_burst(arguments, &sales, &gateways, &files.journal).await?;
    let mut entries = journal::read(&files.journal, &sales.burst)?;
    let (evidence, burst_findings) =
        check(arguments, &sales, entries.clone(), true, &files.burst_findings).await?;
    print!("{}", report::tables(arguments, &burst, &evidence));
    println!("{}", report::interim(&burst_findings));

    let lifecycle = run_lifecycle(arguments, &sales, gateways, &files.lifecycle_journal, &entries).await?;
    entries.extend(journal::read(&files.lifecycle_journal, &sales.burst)?);
    let (evidence, findings) = check(arguments, &sales, entries, lifecycle.sold_out, &files.findings).await?;
    print!("{}", report::lifecycle(&lifecycle, &burst.stats, &evidence));
    print!("{}", report::invariants(&findings));
    print!("{}", report::next_steps(arguments, &sales, &evidence, &files.all()));

    let pages = pages::check_all(&arguments.programs).await;
    println!("{}", pages.text);
    let outcome = Outcome::from_findings(&[burst_findings, findings].concat());
    let unexpected = burst.stats.unexpected + lifecycle.unexpected_responses();
    println!("{}", report::verdict(outcome, unexpected));
    if outcome == Outcome::Holds && (unexpected > 0 || pages.unavailable > 0) {
        return Ok(ExitCode::FAILURE);
    }
    Ok(outcome.exit_code())
}

/// Gathers the evidence, evaluates the invariants, and writes the findings as JSON.
async fn check(
    arguments: &Arguments,
    sales: &DemoSales,
    entries: Vec<Entry>,
    sold_out: bool,
    file: &Path,
) -> anyhow::Result<(Evidence, Vec<Finding>)> {
    let sale = SaleId::parse(&sales.burst)?;
    let expectations = Expectations { journal_complete: true, sold_out };
    let evidence = checker::gather(&arguments.services, &sale, entries, expectations, arguments.wait).await?;
    let findings = checker::evaluate(&evidence);
    checker::report::write_json(file, sale.as_str(), &findings)?;
    Ok((evidence, findings))
}

async fn run_burst(
    arguments: &Arguments,
    sales: &DemoSales,
    gateways: &[Authority],
    journal_file: &Path,
) -> anyhow::Result<BurstResult> {
    let (journal, writer) = journal::create(journal_file).context("the journal")?;
    let pools = Pool::open_all(gateways.to_vec(), arguments.connections, WARM_CONNECTIONS).await?;
    let probes = PageProbes::start(gateways, &arguments.programs.admin_url, &sales.burst)?;
    let client = Arc::new(CustomerClient::new(pools, journal));
    let monitor =
        LagMonitor::start(&arguments.services.database_url, &sales.burst, Arc::clone(&client)).await?;
    let begun = Instant::now();
    let repeats = run_customers(arguments, sales, &client).await;
    let took = begun.elapsed();
    let pages = probes.finish().await?;
    run_repeats(&client, repeats).await;
    let lag = monitor.finish(arguments.wait).await?;
    let stats = Arc::into_inner(client).context("a customer is still running")?.into_stats();
    writer.finish().context("the journal")?;
    Ok(BurstResult { stats, took, lag, pages })
}

async fn run_lifecycle(
    arguments: &Arguments,
    sales: &DemoSales,
    gateways: Vec<Authority>,
    journal_file: &Path,
    burst: &[Entry],
) -> anyhow::Result<LifecycleResult> {
    let (journal, writer) = journal::create(journal_file).context("the journal")?;
    let result = order_lifecycle::run(arguments, sales, gateways, journal, burst).await?;
    writer.finish().context("the journal")?;
    Ok(result)
}

/// Lets all customers arrive, each at the scheduled time. Returns the requests to repeat after the burst.
async fn run_customers(
    arguments: &Arguments,
    sales: &DemoSales,
    client: &Arc<CustomerClient>,
) -> Vec<PendingRepeat> {
    let population: Arc<[Customer]> =
        population::generate(arguments.customers, DemoSales::SKUS, arguments.seed).into();
    let sale: Arc<str> = sales.burst.as_str().into();
    #[expect(clippy::disallowed_methods, reason = "bounded by the number of customers")]
    let (repeats, mut pending_repeats) = mpsc::unbounded_channel();
    let bar = progress::bar(arguments.customers, "burst");
    let on_progress = |finished| {
        bar.set_position(finished);
        bar.set_message(client.stats().progress_line());
    };
    let customer = |n: u64, intended| {
        let customer = population[n as usize].clone();
        let (client, sale, repeats) = (Arc::clone(client), Arc::clone(&sale), repeats.clone());
        async move {
            if let Some(repeat) = personas::act(client, sale, customer, intended).await {
                let _ = repeats.send(repeat); // the receiver outlives every customer
            }
        }
    };
    arrivals::run(arguments.customers, arguments.within, on_progress, customer).await;
    bar.finish_and_clear();
    drop(repeats);
    let mut all = Vec::new();
    while let Some(repeat) = pending_repeats.recv().await {
        all.push(repeat);
    }
    all
}

async fn run_repeats(client: &Arc<CustomerClient>, repeats: Vec<PendingRepeat>) {
    let mut running = JoinSet::new();
    let intended = Instant::now();
    for repeat in repeats {
        running.spawn(personas::repeat(Arc::clone(client), repeat, intended));
    }
    running.join_all().await;
}

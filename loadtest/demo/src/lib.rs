//! `loadtest demo`: a burst of customers at a small stock, and the proof of what became of it.
//!
//! 1. [`prepare`]: the sample sale, left open to buy from, and a burst sale of this run's own
//! 2. the burst: every customer of the [`customers::crowd`] arrives within a few seconds
//! 3. beside it: [`watch`], how far Postgres is behind; [`onlookers`], how the pages that people look at answer
//! 4. repeats, after the sale has sold out; what was offered, told and settled by then, and the invariants
//! 5. [`afterwards`]: its orders are paid, declined, given up, forgotten, sold again, delivered, sent back
//! 6. [`funnel`], [`report`]: how far orders came, the invariants once more, and where to look next
//! 7. [`addresses`]: the pages that stay open, each asked before it is named

mod addresses;
mod afterwards;
mod funnel;
mod onlookers;
mod prepare;
mod report;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use contract::ids::SaleId;

use checker::evidence::{Evidence, Expectations};
use checker::finding::Finding;
use customers::crowd::{Customer, crowd};
use customers::http::Authority;
use customers::journal::Entry;
use customers::manners::{self, ToRepeat};
use customers::settings::{Programs, Services, parse_duration};
use customers::shop::Shop;
use customers::tally::Tally;
use customers::{arrivals, journal, pool, progress, stack};
use terminal::heading;

/// Fewest customers for each unit: the demonstration is one of demand above supply.
const CUSTOMERS_PER_UNIT_MIN: u64 = 2;

/// How big the burst is.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Customers of the burst.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000), value_name = "CUSTOMERS")]
    pub customers: u64,
    /// Units of the burst sale, over two items.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..), value_name = "UNITS")]
    pub units: u64,
    /// Time within which all of them arrive.
    #[arg(long, default_value = "4s", value_parser = parse_duration, value_name = "TIME")]
    pub within: Duration,
    /// Connections to each gateway at most.
    #[arg(long, default_value_t = 256, value_name = "CONNECTIONS")]
    pub connections: usize,
    /// Seed of the crowd: who wants what, and who misbehaves how.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// Folder of the journal and the findings [default: the stack's folder, or the working folder].
    #[arg(long, env = "FLASHSALE_STACK_DIR", value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Longest wait for settlement, after the burst and in the end.
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "TIME")]
    pub wait: Duration,
    /// Where the programs are.
    #[command(flatten)]
    pub programs: Programs,
    /// Where the services are.
    #[command(flatten)]
    pub services: Services,
}

/// What a burst did.
struct Burst {
    tally: Tally,
    took: Duration,
    behind: watch::Behind,
    sight: onlookers::Sight,
}

/// Prepares, lets the customers in, waits, judges, tells.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        arguments.customers >= arguments.units * CUSTOMERS_PER_UNIT_MIN,
        "--customers must be at least {CUSTOMERS_PER_UNIT_MIN} x --units: this is about demand above supply"
    );
    let gateways = Authority::resolve_all(&stack::gateways(&arguments.programs)?)?;
    let urls: Vec<_> = gateways.iter().map(|gateway| format!("http://{}", gateway.host)).collect();
    let sales = prepare::sales(arguments, &gateways).await?;
    println!("{}", report::opening(arguments, &sales.burst, &urls));

    let folder = arguments.out.clone().unwrap_or_default().join("demo");
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let [journal_file, later_file, findings_file, burst_findings_file] =
        ["journal.jsonl", "journal-afterwards.jsonl", "check.json", "check-burst.json"]
            .map(|name| folder.join(name));
    let (journal, writer) = journal::create(&journal_file).context("the journal")?;
    let pools = pool::open_all(gateways.clone(), arguments.connections, 32).await?;
    let onlookers = onlookers::Onlookers::start(&gateways, &arguments.programs.admin_url, &sales.burst)?;
    let burst = burst(arguments, &sales, Shop::open(pools, journal), onlookers).await?;
    writer.finish().context("the journal")?;

    let mut entries = journal::read(&journal_file, &sales.burst)?;
    let (evidence, burst_findings) =
        proof(arguments, &sales, entries.clone(), true, &burst_findings_file).await?;
    print!("{}", report::tables(arguments, &burst, &evidence));
    println!("{}", report::interim(&burst_findings));

    let (journal, writer) = journal::create(&later_file).context("the journal")?;
    let afterwards = afterwards::run(arguments, &sales, gateways, journal, &entries).await?;
    writer.finish().context("the journal")?;
    entries.extend(journal::read(&later_file, &sales.burst)?);
    let sold_out = afterwards.sold_out;
    let (evidence, findings) = proof(arguments, &sales, entries, sold_out, &findings_file).await?;
    print!("{}", report::afterwards(&afterwards, &burst.tally, &evidence));
    println!("{}", heading("Invariants (clients' journal against Postgres, Redis and the log)"));
    print!("{}", checker::report::lines(&findings));
    let written = [&journal_file, &later_file, &burst_findings_file, &findings_file];
    print!("{}", report::where_next(arguments, &sales, &evidence, &written.map(PathBuf::as_path)));

    let open = addresses::open(&arguments.programs).await;
    println!("{}", open.text);
    let outcome = checker::report::Outcome::of(&[burst_findings, findings].concat());
    let surprises = burst.tally.unexpected + afterwards.surprises();
    println!("{}", report::verdict(outcome, surprises));
    if outcome == checker::report::Outcome::Holds && (surprises > 0 || open.silent > 0) {
        return Ok(ExitCode::FAILURE);
    }
    Ok(outcome.exit_code())
}

/// Gathers and judges, and writes the findings for programs.
async fn proof(
    arguments: &Arguments,
    sales: &prepare::Sales,
    entries: Vec<Entry>,
    sold_out: bool,
    file: &Path,
) -> anyhow::Result<(Evidence, Vec<Finding>)> {
    let sale = SaleId::parse(&sales.burst)?;
    let expectations = Expectations { journal_complete: true, sold_out };
    let evidence = checker::gather(&arguments.services, &sale, entries, expectations, arguments.wait).await?;
    let findings = checker::judge(&evidence);
    checker::report::write_json(file, sale.as_str(), &findings)?;
    Ok((evidence, findings))
}

async fn burst(
    arguments: &Arguments,
    sales: &prepare::Sales,
    shop: Shop,
    onlookers: onlookers::Onlookers,
) -> anyhow::Result<Burst> {
    let shop = Arc::new(shop);
    let watcher =
        watch::Watcher::start(&arguments.services.database_url, &sales.burst, Arc::clone(&shop)).await?;
    let begun = Instant::now();
    let to_repeat = arrive(arguments, sales, &shop).await;
    let took = begun.elapsed();
    let sight = onlookers.finish().await?;
    repeat(&shop, to_repeat).await;
    let behind = watcher.finish(arguments.wait).await?;
    let tally = Arc::into_inner(shop).context("a customer is still running")?.close();
    Ok(Burst { tally, took, behind, sight })
}

/// All customers, each at its own time.
async fn arrive(arguments: &Arguments, sales: &prepare::Sales, shop: &Arc<Shop>) -> Vec<ToRepeat> {
    let crowd: Arc<[Customer]> =
        crowd(arguments.customers, prepare::Sales::SKUS, arguments.seed).into_iter().collect();
    let sale: Arc<str> = sales.burst.as_str().into();
    let (later, mut to_repeat) = tokio::sync::mpsc::unbounded_channel();
    let line = progress::bar(arguments.customers, "burst");
    let show = |line: &indicatif::ProgressBar| line.set_message(shop.tally().progress_line());
    arrivals::run(arguments.customers, arguments.within, &line, show, |n, intended| {
        let customer = crowd[n as usize].clone();
        let (shop, sale, later) = (Arc::clone(shop), Arc::clone(&sale), later.clone());
        async move {
            if let Some(again) = manners::act(shop, sale, customer, intended).await {
                let _ = later.send(again); // the receiver outlives every customer
            }
        }
    })
    .await;
    line.finish_and_clear();
    drop(later);
    let mut all = Vec::new();
    while let Some(again) = to_repeat.recv().await {
        all.push(again);
    }
    all
}

async fn repeat(shop: &Arc<Shop>, to_repeat: Vec<ToRepeat>) {
    let mut running = tokio::task::JoinSet::new();
    let intended = Instant::now();
    for again in to_repeat {
        running.spawn(manners::repeat(Arc::clone(shop), again, intended));
    }
    running.join_all().await;
}

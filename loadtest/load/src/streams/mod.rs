//! `loadtest streams`: many customers follow their orders at one gateway. What a stream costs it in memory,
//! how soon a change is told, and whether everyone is told what became of their own order.

mod reader;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use contract::ids::OrderId;
use tokio::task::LocalSet;

use crate::procs;
use customers::admin::{self, Admin};
use customers::answer::Answer;
use customers::http::{Authority, Connection};
use customers::latency::{Latencies, ms};
use customers::progress;
use customers::request;
use customers::sales;
use customers::settings::Programs;
use customers::stack;
use reader::Reader;
use terminal::{Table, heading, thousands};

/// Who asks at once, for orders and for streams.
const AT_ONCE: usize = 64;
/// Longest wait for the last order to be settled, and for the last change to be told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the gateway is asked how many streams it has.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How many, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Streams, each of another customer's order.
    #[arg(long, default_value_t = 10_000, value_name = "STREAMS")]
    pub count: usize,
    /// Orders that are cancelled while all streams are open.
    #[arg(long, default_value_t = 1_000, value_name = "ORDERS")]
    pub moves: usize,
    /// WebSockets instead of Server-Sent Events.
    #[arg(long)]
    pub websocket: bool,
    /// Where the programs are. All streams are opened at the first gateway, the only one whose memory is
    /// looked at.
    #[command(flatten)]
    pub programs: Programs,
}

/// An order and its customer's number.
#[derive(Debug, Clone, Copy)]
struct Followed {
    customer: usize,
    order: OrderId,
}

fn customer(number: usize) -> String {
    format!("follower-{number}")
}

/// Runs and reports. Exit code 1: somebody was not told.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let moves = arguments.moves.min(arguments.count);
    let gateway = Authority::resolve(&arguments.programs.gateway_url)?;
    let sale = sales::fresh_id("streams");
    let admin = Admin::at(&arguments.programs.admin_url)?;
    let terms = sales::single("Streams", arguments.count as u64);
    admin::make(&admin, std::slice::from_ref(&gateway), &sale, &terms).await?;

    let local = LocalSet::new();
    local
        .run_until(async {
            let orders = place(&gateway, &sale, arguments.count).await?;
            let last = orders.last().context("at least one stream")?;
            // The first stream of a gateway starts what all of them share.
            drop(follow(&gateway, &sale, std::slice::from_ref(last), arguments.websocket).await?);
            until_streams(&arguments.programs.admin_url, 0).await?;

            let before = resident(&gateway)?;
            let begun = Instant::now();
            let (readers, opening) = follow(&gateway, &sale, &orders, arguments.websocket).await?;
            let opened_in = begun.elapsed();
            let told_open = until_streams(&arguments.programs.admin_url, arguments.count).await?;
            let open = resident(&gateway)?;
            let (told, telling) = tell(&gateway, &sale, readers, &orders[..moves]).await?;

            let mut table = Table::new(&["", ""]);
            let way = if arguments.websocket { "WebSockets" } else { "event streams" };
            table.row([format!("{way} open"), thousands(told_open)]);
            table.row(["opened within".into(), format!("{} ms", ms(opened_in.as_secs_f64() * 1e3))]);
            table.row(["from connecting to the first event".into(), opening.summary()]);
            let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
            table.row(["the gateway's memory before".into(), mib(before)]);
            table.row(["with all streams open".into(), mib(open)]);
            let each = open.saturating_sub(before) / arguments.count.max(1) as u64;
            table.row(["bytes a stream".into(), thousands(each)]);
            table.row(["orders cancelled".into(), thousands(moves as u64)]);
            table.row(["told to their streams".into(), thousands(told as u64)]);
            table.row(["from the 202 to the event".into(), telling.summary()]);
            println!("{}", heading("Live updates"));
            print!("{table}");
            Ok(if told == moves { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
        .await
}

/// Resident bytes of the gateway that listens there.
fn resident(gateway: &Authority) -> anyhow::Result<u64> {
    let processes = stack::processes(None)?;
    let found = processes.into_iter().find(|process| process.address == gateway.host);
    let found = found.with_context(|| format!("no process of the stack listens on {}", gateway.host))?;
    let bytes = procs::resident_bytes(std::slice::from_ref(&found));
    bytes.get(&found.name).copied().with_context(|| format!("{} does not run", found.name))
}

/// Waits until the gateway has so many streams.
async fn until_streams(admin_url: &str, count: usize) -> anyhow::Result<u64> {
    let begun = Instant::now();
    loop {
        let page = admin::metrics(admin_url).await?;
        let open = admin::metric_max(&page, "live_update_streams").unwrap_or(0.0);
        if open == count as f64 {
            return Ok(open as u64);
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{open} streams are open, not {count}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Runs `work` for each item, [`AT_ONCE`] at a time, on connections or without.
async fn each<T: 'static, R: 'static, F: Future<Output = anyhow::Result<R>>>(
    items: Vec<T>,
    what: &str,
    work: impl Fn(T) -> F + Clone + 'static,
) -> anyhow::Result<Vec<R>> {
    let line = progress::bar(items.len() as u64, what);
    let (items, done) = (Rc::new(RefCell::new(VecDeque::from(items))), Rc::new(RefCell::new(Vec::new())));
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (items, done, work, line) = (Rc::clone(&items), Rc::clone(&done), work.clone(), line.clone());
            tokio::task::spawn_local(async move {
                loop {
                    let Some(item) = items.borrow_mut().pop_front() else { return anyhow::Ok(()) };
                    let result = work(item).await?;
                    done.borrow_mut().push(result);
                    line.inc(1);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    line.finish_and_clear();
    Ok(Rc::into_inner(done).context("a worker still runs")?.into_inner())
}

/// One order a customer.
async fn place(gateway: &Authority, sale: &str, count: usize) -> anyhow::Result<Vec<Followed>> {
    let (gateway, sale) = (gateway.clone(), sale.to_owned());
    let mut orders = each((0..count).collect(), "orders", move |number| {
        let (gateway, sale) = (gateway.clone(), sale.clone());
        async move {
            let name = customer(number);
            let body = r#"{"items":[{"sku":"A","quantity":1}]}"#;
            let order = request::order(&gateway.host, &sale, &name, &name, body);
            let begun = Instant::now();
            loop {
                let mut connection = Connection::open(gateway.address).await?;
                let head = connection.call(&order).await?;
                let answer = Answer::parse(head.status, head.replayed, None, connection.body());
                match answer.order_id {
                    Some(order) if answer.is_accepted() => return Ok(Followed { customer: number, order }),
                    _ if head.status == 503 && begun.elapsed() < PATIENCE => {}
                    _ => anyhow::bail!("an order was answered {answer:?}"),
                }
            }
        }
    })
    .await?;
    orders.sort_by_key(|followed| followed.customer);
    Ok(orders)
}

/// Opens a stream for each, and reads its settled state.
async fn follow(
    gateway: &Authority,
    sale: &str,
    orders: &[Followed],
    websocket: bool,
) -> anyhow::Result<(Vec<Reader>, Latencies)> {
    let (gateway, sale) = (gateway.clone(), sale.to_owned());
    let opened = each(orders.to_vec(), "streams", move |Followed { customer: number, order }| {
        let (gateway, sale) = (gateway.clone(), sale.clone());
        async move {
            let begun = Instant::now();
            let request = if websocket { reader::websocket } else { reader::events };
            let request = request(&gateway.host, &sale, &customer(number), order);
            let mut reader = Reader::open(number, gateway.address, &request).await?;
            tokio::time::timeout(PATIENCE, reader.until("created")).await.context("no first event")??;
            Ok((reader, begun.elapsed()))
        }
    })
    .await?;
    let mut opening = Latencies::default();
    let (mut readers, times): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
    times.into_iter().for_each(|time| opening.record(time));
    readers.sort_by_key(|reader| reader.customer);
    Ok((readers, opening))
}

/// Cancels these orders, and counts the streams that tell it; the others must say nothing.
async fn tell(
    gateway: &Authority,
    sale: &str,
    readers: Vec<Reader>,
    moved: &[Followed],
) -> anyhow::Result<(usize, Latencies)> {
    let told: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            tokio::task::spawn_local(async move {
                let told = reader.until("cancelled").await;
                told.is_ok().then(|| (reader.customer, Instant::now()))
            })
        })
        .collect();
    let (gateway, sale) = (gateway.clone(), sale.to_owned());
    let cancelled = each(moved.to_vec(), "cancelled", move |Followed { customer: number, order }| {
        let (gateway, sale) = (gateway.clone(), sale.clone());
        async move {
            let mut connection = Connection::open(gateway.address).await?;
            let cancel = request::cancel(&gateway.host, &sale, &customer(number), order);
            let head = connection.call(&cancel).await?;
            anyhow::ensure!(head.status == 202, "a cancellation was answered {}", head.status);
            Ok((number, Instant::now()))
        }
    })
    .await?;
    let (mut count, mut telling) = (0, Latencies::default());
    let mut told: Vec<_> = told.into_iter().map(Some).collect();
    for (number, since) in cancelled {
        let reading = told.get_mut(number).and_then(Option::take).context("one stream an order")?;
        if let Ok(Ok(Some((customer, at)))) = tokio::time::timeout(PATIENCE, reading).await {
            anyhow::ensure!(customer == number, "stream {customer} was told of order {number}");
            count += 1;
            telling.record(at.saturating_duration_since(since));
        }
    }
    let others = told.into_iter().flatten().filter(|reading| reading.is_finished()).count();
    anyhow::ensure!(others == 0, "{others} streams ended whose orders did not");
    Ok((count, telling))
}

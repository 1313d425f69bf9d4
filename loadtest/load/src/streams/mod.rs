//! `load streams`: many customers follow their orders at one gateway. Measures the memory per stream and the
//! delay of updates, and checks that each customer receives the updates of their own order.

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

use crate::process_usage;
use customers::admin::{self, Admin};
use customers::http::{Authority, Connection};
use customers::latency::{Latencies, ms};
use customers::progress;
use customers::request;
use customers::response::Response;
use customers::sales;
use customers::settings::Programs;
use customers::stack;
use reader::Reader;
use terminal::{Table, heading, thousands};

/// The number of concurrent requests for orders and for streams.
const CONCURRENCY: usize = 64;
/// The longest wait until the last order is settled, and until the last update arrives.
const UPDATE_LIMIT: Duration = Duration::from_secs(60);
/// The interval at which the gateway's number of streams is polled.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The arguments of `load streams`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Number of streams, each for another customer's order.
    #[arg(long, default_value_t = 10_000, value_name = "STREAMS")]
    pub count: usize,
    /// Number of orders that are cancelled while all streams are open.
    #[arg(long, default_value_t = 1_000, value_name = "ORDERS")]
    pub moves: usize,
    /// Use WebSockets instead of Server-Sent Events.
    #[arg(long)]
    pub websocket: bool,
    /// Addresses of the programs. All streams are opened at the first gateway, whose memory is measured.
    #[command(flatten)]
    pub programs: Programs,
}

/// An order and the number of its customer.
#[derive(Debug, Clone, Copy)]
struct Followed {
    customer: usize,
    order: OrderId,
}

fn customer(number: usize) -> String {
    format!("follower-{number}")
}

/// The measurements of a run.
struct Measurements {
    open_streams: u64,
    opened_in: Duration,
    /// The times from connecting to the first event.
    opening: Latencies,
    bytes_before: u64,
    bytes_open: u64,
    updates: u64,
    /// The times from the 202 of a cancellation to the event.
    update_delays: Latencies,
}

/// Runs the load and prints the measurements. Exit code 1: a customer did not receive an update.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let changes = arguments.moves.min(arguments.count);
    let gateway = Authority::resolve(&arguments.programs.gateway_url)?;
    let sale = sales::unique_id("streams");
    let admin = Admin::new(&arguments.programs.admin_url)?;
    let terms = sales::single("Streams", arguments.count as u64);
    admin::create_sale(&admin, std::slice::from_ref(&gateway), &sale, &terms).await?;
    let measured = LocalSet::new().run_until(measure(arguments, &gateway, &sale, changes)).await?;
    println!("{}", heading("Live updates"));
    print!("{}", table(arguments, &measured, changes as u64));
    Ok(if measured.updates == changes as u64 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(
    arguments: &Arguments,
    gateway: &Authority,
    sale: &str,
    changes: usize,
) -> anyhow::Result<Measurements> {
    let admin_url = &arguments.programs.admin_url;
    let orders = place(gateway, sale, arguments.count).await?;
    let last = orders.last().context("at least one stream")?;
    // The first stream of a gateway allocates what all streams share, so it is opened before the measurement.
    drop(follow(gateway, sale, std::slice::from_ref(last), arguments.websocket).await?);
    wait_for_stream_count(admin_url, 0).await?;

    let bytes_before = resident(gateway)?;
    let begun = Instant::now();
    let (readers, opening) = follow(gateway, sale, &orders, arguments.websocket).await?;
    let opened_in = begun.elapsed();
    let open_streams = wait_for_stream_count(admin_url, arguments.count).await?;
    let bytes_open = resident(gateway)?;
    let (updates, update_delays) = cancel_and_wait(gateway, sale, readers, &orders[..changes]).await?;
    Ok(Measurements { open_streams, opened_in, opening, bytes_before, bytes_open, updates, update_delays })
}

fn table(arguments: &Arguments, measured: &Measurements, changes: u64) -> Table {
    let kind = if arguments.websocket { "WebSockets" } else { "event streams" };
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
    let growth = measured.bytes_open.saturating_sub(measured.bytes_before);
    let mut table = Table::new(&["", ""]);
    table.row([format!("{kind} open"), thousands(measured.open_streams)]);
    table.row(["opened within".into(), format!("{} ms", ms(measured.opened_in.as_secs_f64() * 1e3))]);
    table.row(["from connecting to the first event".into(), measured.opening.summary()]);
    table.row(["the gateway's memory before".into(), mib(measured.bytes_before)]);
    table.row(["with all streams open".into(), mib(measured.bytes_open)]);
    table.row(["bytes per stream".into(), thousands(growth / arguments.count.max(1) as u64)]);
    table.row(["orders cancelled".into(), thousands(changes)]);
    table.row(["updates received".into(), thousands(measured.updates)]);
    table.row(["from the 202 to the event".into(), measured.update_delays.summary()]);
    table
}

/// Returns the resident bytes of the gateway that listens at an address.
fn resident(gateway: &Authority) -> anyhow::Result<u64> {
    let processes = stack::processes(None)?;
    let found = processes.into_iter().find(|process| process.address == gateway.host);
    let found = found.with_context(|| format!("no process of the stack listens on {}", gateway.host))?;
    let bytes = process_usage::resident_bytes(std::slice::from_ref(&found));
    bytes.get(&found.name).copied().with_context(|| format!("{} is not running", found.name))
}

/// Waits until the gateway has `count` streams, and returns the number.
async fn wait_for_stream_count(admin_url: &str, count: usize) -> anyhow::Result<u64> {
    let begun = Instant::now();
    loop {
        let page = admin::fetch_metrics(admin_url).await?;
        let open = admin::metric_max(&page, "live_update_streams").unwrap_or(0.0);
        if open == count as f64 {
            return Ok(open as u64);
        }
        anyhow::ensure!(begun.elapsed() < UPDATE_LIMIT, "{open} streams are open, not {count}");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Runs `work` for each item, [`CONCURRENCY`] at a time.
async fn for_each_concurrently<T: 'static, R: 'static, F: Future<Output = anyhow::Result<R>>>(
    items: Vec<T>,
    name: &str,
    work: impl Fn(T) -> F + Clone + 'static,
) -> anyhow::Result<Vec<R>> {
    let bar = progress::bar(items.len() as u64, name);
    let (items, done) = (Rc::new(RefCell::new(VecDeque::from(items))), Rc::new(RefCell::new(Vec::new())));
    let workers: Vec<_> = (0..CONCURRENCY)
        .map(|_| {
            let (items, done, work, bar) = (Rc::clone(&items), Rc::clone(&done), work.clone(), bar.clone());
            tokio::task::spawn_local(async move {
                loop {
                    let Some(item) = items.borrow_mut().pop_front() else { return anyhow::Ok(()) };
                    let result = work(item).await?;
                    done.borrow_mut().push(result);
                    bar.inc(1);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    bar.finish_and_clear();
    Ok(Rc::into_inner(done).context("a worker is still running")?.into_inner())
}

/// Places one order for each customer.
async fn place(gateway: &Authority, sale: &str, count: usize) -> anyhow::Result<Vec<Followed>> {
    let (gateway, sale) = (gateway.clone(), sale.to_owned());
    let mut orders = for_each_concurrently((0..count).collect(), "orders", move |number| {
        let (gateway, sale) = (gateway.clone(), sale.clone());
        async move {
            let name = customer(number);
            let body = r#"{"items":[{"sku":"A","quantity":1}]}"#;
            let order = request::order(&gateway.host, &sale, &name, &name, body);
            let begun = Instant::now();
            loop {
                let mut connection = Connection::open(gateway.address).await?;
                let head = connection.call(&order).await?;
                let response = Response::parse(head.status, head.replayed, None, connection.body());
                match response.order_id {
                    Some(order) if response.is_accepted() => return Ok(Followed { customer: number, order }),
                    _ if head.status == 503 && begun.elapsed() < UPDATE_LIMIT => {}
                    _ => anyhow::bail!("unexpected response to an order: {response:?}"),
                }
            }
        }
    })
    .await?;
    orders.sort_by_key(|followed| followed.customer);
    Ok(orders)
}

/// Opens a stream for each order, and reads until the order is settled.
async fn follow(
    gateway: &Authority,
    sale: &str,
    orders: &[Followed],
    websocket: bool,
) -> anyhow::Result<(Vec<Reader>, Latencies)> {
    let (gateway, sale) = (gateway.clone(), sale.to_owned());
    let opened =
        for_each_concurrently(orders.to_vec(), "streams", move |Followed { customer: number, order }| {
            let (gateway, sale) = (gateway.clone(), sale.clone());
            async move {
                let begun = Instant::now();
                let request = if websocket { reader::websocket } else { reader::events };
                let request = request(&gateway.host, &sale, &customer(number), order);
                let mut reader = Reader::open(number, gateway.address, &request).await?;
                tokio::time::timeout(UPDATE_LIMIT, reader.wait_for_status("created"))
                    .await
                    .context("no first event")??;
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

/// Cancels orders and counts the streams that receive the update. The other streams must receive nothing.
async fn cancel_and_wait(
    gateway: &Authority,
    sale: &str,
    readers: Vec<Reader>,
    cancelled_orders: &[Followed],
) -> anyhow::Result<(u64, Latencies)> {
    let reading: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            tokio::task::spawn_local(async move {
                let result = reader.wait_for_status("cancelled").await;
                result.is_ok().then(|| (reader.customer, Instant::now()))
            })
        })
        .collect();
    let (gateway, sale) = (gateway.clone(), sale.to_owned());
    let cancelled = for_each_concurrently(
        cancelled_orders.to_vec(),
        "cancelled",
        move |Followed { customer: number, order }| {
            let (gateway, sale) = (gateway.clone(), sale.clone());
            async move {
                let mut connection = Connection::open(gateway.address).await?;
                let cancel = request::cancel(&gateway.host, &sale, &customer(number), order);
                let head = connection.call(&cancel).await?;
                anyhow::ensure!(head.status == 202, "unexpected status of a cancellation: {}", head.status);
                Ok((number, Instant::now()))
            }
        },
    )
    .await?;
    let (mut count, mut delays) = (0, Latencies::default());
    let mut reading: Vec<_> = reading.into_iter().map(Some).collect();
    for (number, since) in cancelled {
        let reader =
            reading.get_mut(number).and_then(Option::take).context("there is no stream for an order")?;
        if let Ok(Ok(Some((customer, at)))) = tokio::time::timeout(UPDATE_LIMIT, reader).await {
            anyhow::ensure!(customer == number, "stream {customer} received the update of order {number}");
            count += 1;
            delays.record(at.saturating_duration_since(since));
        }
    }
    let others = reading.into_iter().flatten().filter(|reader| reader.is_finished()).count();
    anyhow::ensure!(others == 0, "{others} streams ended although their orders were not cancelled");
    Ok((count, delays))
}

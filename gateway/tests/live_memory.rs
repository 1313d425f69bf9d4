//! Measures the memory that an open stream costs a gateway, with a real gateway process and real connections.
//!
//! ```text
//! ./dev test -p gateway --test live_memory -- --ignored --nocapture
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::Method;
use testkit::client::{order_body, terms};
use testkit::system::Shape;
use testkit::{Client, Program, System, claim_address, fresh};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const STREAMS: usize = 10_000;
/// The number of orders with an open stream that change.
const MOVES: usize = 500;
const CONCURRENCY: usize = 32;

struct Gateway {
    program: Program,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Gateway {
    async fn start(system: &System) -> Self {
        let (public, admin) = (claim_address(), claim_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command
            .args(["--dev-auth", "--listen", &public.to_string(), "--admin-listen", &admin.to_string()])
            .args(system.service_args())
            .stderr(Stdio::null());
        let mut program = Program::spawn(&mut command);
        program.wait_until_ready(admin).await;
        Self { program, public, admin }
    }

    fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.public), &format!("http://{}", self.admin))
    }

    fn resident_bytes(&self) -> u64 {
        let process =
            procfs::process::Process::new(self.program.pid().cast_signed()).expect("the gateway runs");
        process.status().expect("its status").vmrss.expect("its resident memory") * 1024
    }
}

/// Calls an asynchronous function for each number, [`CONCURRENCY`] at a time.
async fn for_each<R: Send + 'static, F: Future<Output = R> + Send + 'static>(
    numbers: std::ops::Range<usize>,
    work: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Vec<R> {
    let numbers = Arc::new(Mutex::new(VecDeque::from_iter(numbers)));
    let workers = (0..CONCURRENCY).map(|_| {
        let (numbers, work) = (numbers.clone(), work.clone());
        tokio::spawn(async move {
            let mut done = vec![];
            loop {
                let next = numbers.lock().pop_front();
                let Some(number) = next else { return done };
                done.push((number, work(number).await));
            }
        })
    });
    let mut all = vec![];
    for worker in workers.collect::<Vec<_>>() {
        all.extend(worker.await.expect("done"));
    }
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, result)| result).collect()
}

async fn read_until(stream: &mut TcpStream, wanted: &str) {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut read = [0; 1024];
        let count = stream.read(&mut read).await.expect("unbroken");
        assert!(count > 0, "the stream ended before {wanted} was received: {text}");
        text.push_str(&String::from_utf8_lossy(&read[..count])); // WebSocket frames have binary headers
    }
}

async fn cost_of_a_stream(system: &System, transport: &'static str, extra: &'static str) -> u64 {
    let gateway = Gateway::start(system).await;
    let client = gateway.client();
    let sale = fresh("memory");
    client.open_sale(&sale, terms(&[("A", 1000, Some(STREAMS as u64))])).await;
    let orders: Arc<Vec<String>> = Arc::new(
        for_each(0..STREAMS, {
            let (client, sale) = (client.clone(), sale.clone());
            move |n| {
                let (client, sale) = (client.clone(), sale.clone());
                async move {
                    let order = order_body(&[("A", 1)]);
                    client.order_until_answered(&sale, &format!("c{n}"), "k", &order).await.order_id()
                }
            }
        })
        .await,
    );
    client.until_settled(&sale, &format!("c{}", STREAMS - 1), &orders[STREAMS - 1]).await;

    let open = {
        let (sale, orders, public) = (sale.clone(), orders.clone(), gateway.public);
        move |n: usize| {
            let request = format!(
                "GET /v1/sales/{sale}/orders/{}/{transport} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev:c{n}\r\n{extra}\r\n",
                orders[n]
            );
            async move {
                let mut stream = TcpStream::connect(public).await.expect("connected");
                stream.write_all(request.as_bytes()).await.expect("the request is sent");
                read_until(&mut stream, "\"status\":\"created\"").await;
                stream
            }
        }
    };
    drop(open(0).await); // the first stream starts the shared consumer
    let before = gateway.resident_bytes();
    let started = Instant::now();
    let mut streams = for_each(0..STREAMS, open).await;
    let (opened, resident) = (started.elapsed(), gateway.resident_bytes());

    let started = Instant::now();
    let cancelled = for_each(0..MOVES, move |n| {
        let (client, path) = (client.clone(), format!("/v1/sales/{sale}/orders/{}", orders[n]));
        async move {
            let request = client.request(Method::DELETE, &path).bearer_auth(format!("dev:c{n}"));
            client.send(request).await.status
        }
    });
    assert!(cancelled.await.iter().all(|status| *status == 202));
    for stream in &mut streams[..MOVES] {
        let delivery = read_until(stream, "\"status\":\"cancelled\"");
        tokio::time::timeout(Duration::from_secs(60), delivery).await.expect("delivered in time");
    }
    let delivered = started.elapsed();
    let cost = resident.saturating_sub(before) / STREAMS as u64;
    println!(
        "{transport}: {STREAMS} streams opened in {opened:.1?}, {} MiB before, {} MiB with them, {cost} bytes a stream; \
         {MOVES} orders cancelled and delivered in {delivered:.1?}",
        before >> 20,
        resident >> 20
    );
    cost
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "opens 20,000 connections; run it manually"]
async fn ten_thousand_open_streams_cost_little() {
    let system = System::start(Shape { gateways: 0, ..Shape::default() }).await;
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (events, socket) =
        (cost_of_a_stream(&system, "events", "").await, cost_of_a_stream(&system, "ws", upgrade).await);
    // hyper allocates two buffers of 8 KiB for each connection; a WebSocket releases them.
    assert!(events < 40_000, "{events} bytes per event stream");
    assert!(socket < 20_000, "{socket} bytes per WebSocket");
}

//! Gateways and settlers in the test's process, each with its own runtime, on a database and topics that no other
//! system uses.

use std::sync::OnceLock;
use std::time::Duration;

use clap::Parser;
use metrics_exporter_prometheus::PrometheusHandle;
use process::telemetry;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

use crate::{Client, environment};

/// How long blocking threads may take to end after a gateway or settler, as in `process::run`.
const THREADS_TIMEOUT: Duration = Duration::from_secs(1);

/// The configuration of a system.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The number of gateways.
    pub gateways: usize,
    /// The number of settlers.
    pub settlements: usize,
    /// The URL of the Redis; `None` for the shared one.
    pub redis_url: Option<String>,
    /// Additional arguments of each gateway.
    pub gateway_args: Vec<String>,
    /// Additional arguments of each settler.
    pub settlement_args: Vec<String>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { gateways: 1, settlements: 1, redis_url: None, gateway_args: vec![], settlement_args: vec![] }
    }
}

/// A running system, which stops when it is dropped.
pub struct System {
    /// The public and the admin URL of each gateway.
    pub gateways: Vec<(String, String)>,
    /// The URL of each settler.
    pub settlements: Vec<String>,
    /// The URL of the system's database.
    pub database_url: String,
    /// The prefix of the names of the system's topics.
    pub topic_prefix: String,
    /// The URL of the system's Redis.
    pub redis_url: String,
    running: Vec<(CancellationToken, Option<std::thread::JoinHandle<()>>)>,
}

/// Returns the process's only metrics recorder, which all systems in the process share.
pub fn metrics() -> PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| telemetry::start_metrics().expect("the first recorder")).clone()
}

/// Creates an empty database on the shared server, and returns its URL.
pub async fn fresh_database() -> String {
    let url = environment("DATABASE_URL");
    let name = format!("t{}", uuid::Uuid::now_v7().simple());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("Postgres is up");
    tokio::spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("created");
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{name}")
}

impl System {
    /// Starts a system and waits until every process is ready.
    pub async fn start(shape: Shape) -> Self {
        crate::tls::install_crypto_provider();
        let mut system = Self {
            gateways: vec![],
            settlements: vec![],
            database_url: fresh_database().await,
            topic_prefix: format!("{}-", crate::fresh("t")),
            redis_url: shape.redis_url.clone().unwrap_or_else(|| environment("REDIS_URL")),
            running: vec![],
        };
        for _ in 0..shape.settlements {
            system.add_settlement(&shape.settlement_args);
        }
        for _ in 0..shape.gateways {
            system.add_gateway(&shape.gateway_args);
        }
        for address in system.gateways.iter().map(|(_, admin)| admin).chain(&system.settlements) {
            let url = format!("{address}/health/ready");
            crate::until(&format!("{url} is ready"), async || {
                reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        }
        system
    }

    /// Returns a client of the first gateway.
    pub fn client(&self) -> Client {
        self.gateway_client(0)
    }

    /// Returns a client of a gateway.
    pub fn gateway_client(&self, gateway: usize) -> Client {
        let (public, admin) = &self.gateways[gateway];
        Client::new(public, admin)
    }

    /// Connects to the system's database.
    pub async fn database(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.database_url, NoTls).await.expect("Postgres");
        tokio::spawn(connection);
        client
    }

    /// Returns the arguments that all programs share.
    pub fn service_args(&self) -> Vec<String> {
        [
            ("--kafka-brokers", environment("KAFKA_BROKERS")),
            ("--redis-url", self.redis_url.clone()),
            ("--database-url", self.database_url.clone()),
            ("--topic-prefix", self.topic_prefix.clone()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_string(), value])
        .collect()
    }

    /// Adds a settler. The returned token stops it.
    pub fn add_settlement(&mut self, args: &[String]) -> CancellationToken {
        let own = ["settlement", "--settlement-listen", "127.0.0.1:0"].map(str::to_string);
        let all = own.into_iter().chain(self.service_args()).chain(args.iter().cloned());
        let settings = settlement::Settings::parse_from(all);
        let (bound, address) = std::sync::mpsc::channel();
        let stop = self.run(move |stop| async move {
            let listener = settlement::bind(&settings).await.expect("a free port");
            let url = format!("http://{}", listener.local_addr().expect("its address"));
            bound.send(url).expect("the test waits for the address");
            settlement::run(settings, listener, metrics(), stop).await.expect("settlement runs");
        });
        self.settlements.push(address.recv().expect("settlement binds its listener"));
        stop
    }

    /// Adds a gateway. The returned token stops it.
    pub fn add_gateway(&mut self, args: &[String]) -> CancellationToken {
        let own = ["gateway", "--dev-auth", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let own = own.map(str::to_string);
        let all = own.into_iter().chain(self.service_args()).chain(args.iter().cloned());
        let settings = gateway::Settings::parse_from(all);
        let (bound, addresses) = std::sync::mpsc::channel();
        let stop = self.run(move |stop| async move {
            let listeners = gateway::Listeners::bind(&settings).await.expect("free ports");
            let address = |address| format!("http://{address}");
            let addresses = (address(listeners.public_address), address(listeners.admin_address));
            bound.send(addresses).expect("the test waits for the addresses");
            gateway::run(settings, listeners, metrics(), stop).await.expect("the gateway runs");
        });
        self.gateways.push(addresses.recv().expect("the gateway binds its listeners"));
        stop
    }

    fn run<F: Future<Output = ()>>(
        &mut self,
        work: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> CancellationToken {
        let stop = CancellationToken::new();
        let work_stop = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(work(work_stop));
            runtime.shutdown_timeout(THREADS_TIMEOUT);
        });
        self.running.push((stop.clone(), Some(thread)));
        stop
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for (stop, _) in &self.running {
            stop.cancel();
        }
        for (_, thread) in &mut self.running {
            let ended = thread.take().map(std::thread::JoinHandle::join);
            if !std::thread::panicking() {
                assert!(!matches!(ended, Some(Err(_))), "a process of the system ended by a panic");
            }
        }
    }
}

/// Returns the system that the tests of one program share: two gateways and one settler. Each test uses its own sale.
pub fn shared() -> &'static System {
    static SHARED: OnceLock<System> = OnceLock::new();
    SHARED.get_or_init(|| {
        // Uses a separate thread, because the first caller is already inside a runtime.
        let starting = std::thread::spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(System::start(Shape { gateways: 2, ..Shape::default() }))
        });
        starting.join().expect("the shared system starts")
    })
}

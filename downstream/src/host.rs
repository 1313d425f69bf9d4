//! The runtime environment of a component: settings of the services, health checks, a listener, tasks, and a graceful
//! shutdown.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::Pool;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use process::backoff::retry;
use process::health::{self, Health};
use process::postgres::{DatabaseError, PoolError};
use process::settings::Services;
use process::supervisor::{Supervisor, TaskEnded};
use process::{shutdown, telemetry};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The greatest number of connections to the listener.
const CONNECTIONS_MAX: usize = 256;
/// The interval between two health checks of Postgres.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The time limit for running tasks at shutdown.
const FINISH: Duration = Duration::from_secs(6);
/// The settings of every connection to Postgres. A statement that exceeds the time limit is a fault.
const OPTIONS: &str = "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=10s \
     -c jit=off -c timezone=UTC";

/// The listener's address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// The environment of a component. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Host {
    /// The addresses of the services.
    pub services: Services,
    /// The health of the dependencies.
    pub health: Health,
    /// Cancelled at shutdown.
    pub stop: CancellationToken,
    tasks: TaskTracker,
    supervisor: Supervisor,
    metrics: PrometheusHandle,
}

impl Host {
    /// Creates the environment. Nothing runs yet.
    pub fn new(services: Services, metrics: PrometheusHandle, stop: CancellationToken) -> Self {
        let supervisor = Supervisor::new(stop.clone());
        Self { services, health: Health::default(), stop, tasks: TaskTracker::new(), supervisor, metrics }
    }

    /// Spawns a task that shutdown waits for. If it ends before the host is to stop, the host stops.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.supervisor.watch(name, work));
    }

    /// Serves `/metrics` and `/health/*`, and the paths for which `handler` returns a response.
    pub async fn serve<H, F>(&self, address: SocketAddr, handler: H) -> Result<SocketAddr, ListenError>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Option<Response<Full<Bytes>>>> + Send + 'static,
    {
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|source| ListenError { address, source })?;
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, "listening for HTTP requests");
        self.spawn("upkeep of metrics", telemetry::upkeep(self.metrics.clone(), self.stop.clone()));
        let (health, metrics) = (self.health.clone(), self.metrics.clone());
        let respond = move |request: Request<Incoming>| {
            let response = health::respond(request.uri().path(), &health, &metrics);
            let handler = handler.clone();
            async move {
                match response {
                    Some(response) => response,
                    None => handler(request).await.unwrap_or_else(health::not_found),
                }
            }
        };
        self.spawn("listener", process::http::serve(listener, CONNECTIONS_MAX, respond, self.stop.clone()));
        Ok(address)
    }

    /// Creates a pool of connections to Postgres, and checks every second whether Postgres is up.
    pub fn postgres_pool(&self, application: &str) -> Result<Pool, PoolError> {
        let (url, size) = (&self.services.database_url, self.services.database_pool_size);
        let pool = process::postgres::pool(url, size, application, OPTIONS)?;
        self.health.declare("postgres", true);
        let (checked, health, stop) = (pool.clone(), self.health.clone(), self.stop.clone());
        self.spawn("check Postgres", async move {
            let ping = || process::postgres::ping(&checked);
            health.probe_until_stopped("postgres", CHECK_EVERY, &stop, ping).await;
        });
        Ok(pool)
    }

    /// Waits until settlement has created these tables. Returns `None` if the host stops first.
    pub async fn wait_for_schema(&self, pool: &Pool, tables: &[&str]) -> Option<()> {
        self.health.declare("schema", true);
        let attempt = || async {
            let result = check_tables(pool, tables).await;
            self.health.report("schema", &result);
            result
        };
        retry("waiting for the schema", &self.stop, attempt).await
    }

    /// Waits for the running tasks, for a limited time. Fails if a task has ended before the host was to stop.
    pub async fn finish(self) -> Result<(), TaskEnded> {
        self.tasks.close();
        shutdown::finish("running tasks", FINISH, self.tasks.wait()).await;
        self.supervisor.result()
    }
}

async fn check_tables(pool: &Pool, tables: &[&str]) -> Result<(), DatabaseError> {
    let client = pool.get().await?;
    for table in tables {
        let row = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[table]).await?;
        if !row.get::<_, bool>(0) {
            return Err(DatabaseError::Invalid(format!("settlement has not created the table {table} yet")));
        }
    }
    Ok(())
}

/// Creates a JSON response.
pub fn respond(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

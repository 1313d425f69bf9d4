//! What each part of the binary runs in: settings of the services, health, a listener, tasks, and an
//! orderly end.

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
use process::postgres::DatabaseError;
use process::settings::Services;
use process::{shutdown, telemetry};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections to the listener, at most.
const CONNECTIONS_MAX: usize = 256;
/// Postgres is asked so often whether it is there.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// … and is not, if it takes longer to say so.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// At shutdown, the work that was begun has so long.
const FINISH: Duration = Duration::from_secs(6);
/// Settings of every connection to Postgres: a statement that takes longer is a fault.
const OPTIONS: &str = "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=10s \
     -c jit=off -c timezone=UTC";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}: {1}")]
pub struct ListenError(SocketAddr, io::Error);

/// What a part runs in. Clones are cheap and lead to the same things.
#[derive(Clone)]
pub struct Host {
    /// Where the services are.
    pub services: Services,
    /// What is there and what is missing.
    pub health: Health,
    /// Cancelled at shutdown.
    pub stop: CancellationToken,
    /// Tasks that end with it.
    pub tasks: TaskTracker,
    metrics: PrometheusHandle,
}

impl Host {
    /// Before anything runs.
    pub fn new(services: Services, metrics: PrometheusHandle, stop: CancellationToken) -> Self {
        Self { services, health: Health::default(), stop, tasks: TaskTracker::new(), metrics }
    }

    /// Serves `/metrics` and `/health/*`, and whatever else `handler` has an answer for.
    pub async fn serve<H, F>(&self, address: SocketAddr, handler: H) -> Result<SocketAddr, ListenError>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Option<Response<Full<Bytes>>>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.map_err(|error| ListenError(address, error))?;
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, "listening");
        self.tasks.spawn(telemetry::upkeep(self.metrics.clone(), self.stop.clone()));
        let (health, metrics) = (self.health.clone(), self.metrics.clone());
        let answer = move |request: Request<Incoming>| {
            let known = health::respond(request.uri().path(), &health, &metrics);
            let handler = handler.clone();
            async move {
                match known {
                    Some(answer) => answer,
                    None => handler(request).await.unwrap_or_else(health::not_found),
                }
            }
        };
        self.tasks.spawn(process::http::serve(listener, CONNECTIONS_MAX, answer, self.stop.clone()));
        Ok(address)
    }

    /// A pool of connections to Postgres, which is asked every second whether it is there.
    pub fn postgres(&self, name: &str) -> Result<Pool, process::postgres::PoolError> {
        let services = &self.services;
        let pool =
            process::postgres::pool(&services.database_url, services.database_pool_size, name, OPTIONS)?;
        self.health.declare("postgres", true);
        let (asked, health, stop) = (pool.clone(), self.health.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(ASK_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                let ask = async {
                    asked.get().await?.simple_query("SELECT 1").await?;
                    Ok::<_, DatabaseError>(())
                };
                match tokio::time::timeout(ANSWER_MAX, ask).await {
                    Ok(answer) => health.report("postgres", &answer),
                    Err(_) => health.mark_down("postgres", "no answer in time"),
                }
            }
        });
        Ok(pool)
    }

    /// Waits until settlement has made these tables. `None`: stopped before.
    pub async fn schema(&self, pool: &Pool, tables: &[&str]) -> Option<()> {
        self.health.declare("schema", true);
        let there = || async {
            let result = missing_table(pool, tables).await;
            self.health.report("schema", &result);
            result
        };
        retry("waiting for the schema", &self.stop, there).await
    }

    /// Waits for what was begun.
    pub async fn finish(self) {
        self.tasks.close();
        shutdown::finish("what was begun", FINISH, self.tasks.wait()).await;
    }
}

async fn missing_table(pool: &Pool, tables: &[&str]) -> Result<(), DatabaseError> {
    let client = pool.get().await?;
    for table in tables {
        let row = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[table]).await?;
        if !row.get::<_, bool>(0) {
            return Err(DatabaseError::Invalid(format!("settlement has not made the table {table} yet")));
        }
    }
    Ok(())
}

/// A JSON answer.
pub fn respond(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

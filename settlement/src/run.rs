//! From settings to a running process, and back.

use std::sync::Arc;
use std::time::Duration;

use lua::Redis;
use metrics_exporter_prometheus::PrometheusHandle;
use process::health::{self, Health};
use process::kafka::{Producer, ProducerSettings};
use process::{shutdown, telemetry};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::until_done;
use crate::consume::{commands, consume};
use crate::progress::Progress;
use crate::rebuild::{self, Tools};
use crate::relay::Relay;
use crate::settings::Settings;
use crate::settle::Settler;
use crate::{
    checks, database, lag, migrate, news, ownership, publish_events, publish_sales, release, stock_gauges,
    topics,
};

/// How long a gateway may still answer under an old epoch: its lease, and a margin for two clocks that
/// do not run alike.
const LEASE_WAIT: Duration = Duration::from_millis(3000 + 500);
/// Batches between the consumer and the settle loop: one is gathered while one is settled.
const HANDOVERS: usize = 1;
/// Connections to the listener, at most: scrapers and probes.
const CONNECTIONS_MAX: usize = 64;
/// At shutdown: the transaction that has begun, and the messages that are on their way.
const DRAIN: Duration = Duration::from_secs(8);

/// Why the process cannot run at all. Missing services are no such reason: they are waited for.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(std::net::SocketAddr, std::io::Error),
    /// The settings of the database pool.
    #[error(transparent)]
    Pool(#[from] process::postgres::PoolError),
    /// The settings of the producer.
    #[error("Kafka: {0}")]
    Producer(#[from] rdkafka::error::KafkaError),
    /// The settings of the connection to Redis.
    #[error("REDIS_URL: {0}")]
    Redis(#[from] lua::RedisError),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Runs until `shutdown`, and returns when everything that was begun is finished.
pub async fn run(
    settings: Settings,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let settings = Arc::new(settings);
    let (health, tasks) = (Health::default(), TaskTracker::new());
    for dependency in ["postgres", "kafka", "redis", "schema", "topics"] {
        health.expect(dependency, true);
    }
    serve(&settings, &health, metrics, &tasks, &shutdown).await?;
    let pool = database::pool(&settings.services)?;
    let redis = Redis::connect(&settings.services.redis_url, REDIS_TIMEOUT)?;
    tasks.spawn(checks::postgres(pool.clone(), health.clone(), shutdown.clone()));
    tasks.spawn(checks::redis(redis.clone(), health.clone(), shutdown.clone()));
    let producer = Producer::start(&settings.services.kafka_brokers, "settlement", &PRODUCER)?;
    let events = publish_events::producer(&settings.services)?;

    if prepare(&settings, &pool, &health, &shutdown).await.is_some() {
        let (announce, ownership) = ownership::channel();
        let progress = Progress::default();
        let (commands, obeyed) = commands();
        let (handovers, received) = mpsc::channel(HANDOVERS);
        let consumer = {
            let (settings, stop) = (settings.clone(), shutdown.clone());
            let consumer = move || consume(&settings, &handovers, &obeyed, &stop);
            std::thread::Builder::new().name("consume".into()).spawn(consumer).map_err(RunError::Thread)?
        };
        let lag = {
            let (settings, ownership, progress) = (settings.clone(), ownership.clone(), progress.clone());
            let (health, stop) = (health.clone(), shutdown.clone());
            let measure = move || lag::measure(&settings.services, &ownership, &progress, &health, &stop);
            std::thread::Builder::new().name("lag".into()).spawn(measure).map_err(RunError::Thread)?
        };
        let (tell, news) = news::channel();
        let settler = Settler::new(pool.clone(), progress.clone(), tell);
        tasks.spawn(settler.run(received, commands, announce, shutdown.clone()));
        let services = settings.services.clone();
        tasks.spawn(publish_sales::run(
            pool.clone(),
            services,
            producer.clone(),
            progress.clone(),
            shutdown.clone(),
        ));
        let tools = Tools {
            pool: pool.clone(),
            services: Arc::new(settings.services.clone()),
            producer: producer.clone(),
            progress: progress.clone(),
            lease_wait: LEASE_WAIT,
        };
        tasks.spawn(rebuild::run(tools, ownership.clone(), shutdown.clone()));
        let (pool_, own, stop) = (pool.clone(), ownership.clone(), shutdown.clone());
        tasks.spawn(publish_events::run(pool_, settings.services.clone(), events.clone(), own, news, stop));
        let (pool_, own, stop) = (pool.clone(), ownership.clone(), shutdown.clone());
        tasks.spawn(release::run(pool_, redis.clone(), own, progress.clone(), stop));
        let (pool_, own, stop) = (pool.clone(), ownership.clone(), shutdown.clone());
        tasks.spawn(stock_gauges::run(pool_, redis.clone(), own, stop));
        let relay = Relay {
            pool: pool.clone(),
            redis: redis.clone(),
            producer: producer.clone(),
            services: settings.services.clone(),
            ownership,
            after: settings.settlement.relay_after(),
        };
        tasks.spawn(relay.run(shutdown.clone()));
        shutdown.cancelled().await;
        tasks.close();
        shutdown::finish("settling", DRAIN, tasks.wait()).await;
        let left = tokio::task::spawn_blocking(move || drop((consumer.join(), lag.join())));
        shutdown::finish("leaving the consumer group", Duration::from_secs(2), async { drop(left.await) })
            .await;
    }
    tasks.close();
    shutdown::finish("connections", DRAIN, tasks.wait()).await;
    let flushed = tokio::task::spawn_blocking(move || producer.flush(Duration::from_secs(1)));
    if let Ok(Err(error)) = flushed.await {
        tracing::warn!(%error, "messages were not flushed");
    }
    tracing::info!("stopped");
    Ok(())
}

/// A script's limit; nobody waits for these.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);
/// For the log and the topic `sales`: few messages, which somebody waits for.
const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 0.0, timeout_ms: 5000, queue_messages_max: 100_000 };

async fn serve(
    settings: &Settings,
    health: &Health,
    metrics: PrometheusHandle,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    let address = settings.settlement.settlement_listen;
    let listener = TcpListener::bind(address).await.map_err(|error| RunError::Listen(address, error))?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "serves /metrics and /health");
    tasks.spawn(telemetry::upkeep(metrics.clone(), shutdown.clone()));
    let health = health.clone();
    let handler = move |request: hyper::Request<hyper::body::Incoming>| {
        let answer =
            health::answer(request.uri().path(), &health, &metrics).unwrap_or_else(health::not_found);
        std::future::ready(answer)
    };
    tasks.spawn(process::http::serve(listener, CONNECTIONS_MAX, handler, shutdown.clone()));
    Ok(())
}

/// Schema and topics, however long the services take to come. `None`: shut down before.
async fn prepare(
    settings: &Settings,
    pool: &deadpool_postgres::Pool,
    health: &Health,
    shutdown: &CancellationToken,
) -> Option<()> {
    let migrated = || async {
        let result = migrate::migrate(pool).await;
        health.report("schema", &result);
        result
    };
    until_done("migrating the schema", shutdown, migrated).await?;
    let prepared = || async {
        let result = topics::prepare(settings, pool).await;
        health.report("topics", &result);
        result
    };
    until_done("creating the topics", shutdown, prepared).await
}

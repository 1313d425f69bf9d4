//! From settings to a running process, and back.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
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
use crate::handles::Handles;
use crate::handover::commands;
use crate::ownership::Announce;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::settle::Settler;
use crate::{
    checks, consume, database, lag, migrate, news, ownership, positions, publish_events, publish_sales,
    rebuild, reconcile, relay, release, stock_gauges, tick, topics,
};

/// Batches between the consumer and the settle loop: one is gathered while one is settled.
const HANDOVERS: usize = 1;
/// Connections to the listener, at most: scrapers and probes.
const CONNECTIONS_MAX: usize = 64;
/// A script's limit; no customer waits for these.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);
/// For the log and the topic `sales`: few messages, which somebody waits for.
const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 0.0, timeout_ms: 5000, queue_messages_max: 100_000 };
/// At shutdown, one after another, within [`shutdown::DRAIN_SECONDS_MAX`]: the work that was begun …
const FINISH: Duration = Duration::from_secs(6);
/// … the consumer group …
const LEAVE: Duration = Duration::from_secs(2);
/// … and messages that are on their way.
const FLUSH: Duration = Duration::from_secs(1);

/// Why the process cannot run at all. Missing services are no such reason: they are waited for.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The settings of the database pool.
    #[error(transparent)]
    Pool(#[from] process::postgres::PoolError),
    /// The settings of a producer.
    #[error("Kafka: {0}")]
    Producer(#[from] rdkafka::error::KafkaError),
    /// The settings of the connection to Redis.
    #[error("REDIS_URL: {0}")]
    Redis(#[from] lua::RedisError),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// Runs until `shutdown`, and returns when everything that was begun is finished.
pub async fn run(
    settings: Settings,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    process::describe::describe(crate::described::METRICS);
    let services = &settings.services;
    let (announce, ownership) = ownership::channel();
    let handles = Handles {
        pool: database::pool(services)?,
        redis: Redis::connect(&services.redis_url, REDIS_TIMEOUT)?,
        producer: Producer::start(&services.kafka_brokers, "settlement", &PRODUCER)?,
        health: Health::default(),
        ownership,
        progress: Progress::default(),
        log_ends: lag::LogEnds::default(),
        stop: shutdown.clone(),
        settings: Arc::new(settings.clone()),
    };
    let events = publish_events::producer(services)?;
    let tasks = TaskTracker::new();
    for dependency in ["postgres", "kafka", "redis", "schema", "topics", consume::LOG] {
        handles.health.expect(dependency, true);
    }
    serve(&handles, metrics, &tasks).await?;
    tasks.spawn(checks::postgres(handles.clone()));
    tasks.spawn(checks::redis(handles.clone()));

    let mut threads = Vec::new();
    if prepare(&handles).await.is_some() {
        threads = start(&handles, announce, events.clone(), &tasks)?;
        shutdown.cancelled().await;
    }
    tasks.close();
    shutdown::finish("what was begun", FINISH, tasks.wait()).await;
    let left = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
    shutdown::finish("leaving the consumer group", LEAVE, async { drop(left.await) }).await;
    for producer in [handles.producer, events] {
        let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "messages were not flushed");
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Metrics and health, before anything else: they tell what is waited for.
async fn serve(handles: &Handles, metrics: PrometheusHandle, tasks: &TaskTracker) -> Result<(), RunError> {
    let address = handles.settings.settlement.settlement_listen;
    let listener = TcpListener::bind(address).await.map_err(|error| RunError::Listen(address, error))?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "serves /metrics and /health");
    tasks.spawn(telemetry::upkeep(metrics.clone(), handles.stop.clone()));
    let health = handles.health.clone();
    let handler = move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = health::answer(request.uri().path(), &health, &metrics);
        std::future::ready(answer.unwrap_or_else(health::not_found))
    };
    tasks.spawn(process::http::serve(listener, CONNECTIONS_MAX, handler, handles.stop.clone()));
    Ok(())
}

/// Schema and topics, however long the services take to come. `None`: shut down before.
async fn prepare(handles: &Handles) -> Option<()> {
    let Handles { settings, pool, health, stop, .. } = handles;
    let migrated = || async {
        let result = migrate::migrate(pool).await;
        health.report("schema", &result);
        result
    };
    until_done("migrating the schema", stop, migrated).await?;
    let prepared = || async {
        let result = topics::prepare(settings, pool).await;
        health.report("topics", &result);
        result
    };
    until_done("creating the topics", stop, prepared).await
}

/// The settle loop and all that follows it. Returns the threads of those who block.
fn start(
    handles: &Handles,
    announce: Announce,
    events: Producer,
    tasks: &TaskTracker,
) -> Result<Vec<JoinHandle<()>>, RunError> {
    let (tell, news) = news::channel();
    let (commands, obeyed) = commands();
    let (handovers, received) = mpsc::channel(HANDOVERS);
    let settler =
        Settler::new(handles.pool.clone(), handles.progress.clone(), tell, handles.settings.delivery);
    tasks.spawn(settler.run(received, commands, announce, handles.stop.clone()));
    tasks.spawn(publish_events::run(handles.clone(), events, news));
    tasks.spawn(publish_sales::run(handles.clone()));
    tasks.spawn(rebuild::run(handles.clone()));
    tasks.spawn(relay::run(handles.clone()));
    tasks.spawn(release::run(handles.clone()));
    tasks.spawn(tick::run(handles.clone()));
    tasks.spawn(stock_gauges::run(handles.clone()));
    tasks.spawn(reconcile::run(handles.clone()));
    tasks.spawn(positions::run(handles.clone()));
    let consumer = handles.clone();
    let consume = move || {
        consume::consume(&consumer, &handovers, &obeyed, &consumer.stop);
    };
    let measured = handles.clone();
    let measure = move || {
        if let Err(error) = lag::measure(&measured) {
            tracing::error!(%error, "the lag is not measured");
        }
    };
    Ok(vec![
        std::thread::Builder::new().name("consume".into()).spawn(consume)?,
        std::thread::Builder::new().name("lag".into()).spawn(measure)?,
    ])
}

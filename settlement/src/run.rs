//! Starts the process, runs it, and shuts it down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lua::Redis;
use metrics_exporter_prometheus::PrometheusHandle;
use process::backoff::retry;
use process::health::{self, Health};
use process::kafka::{Producer, ProducerSettings};
use process::supervisor::{Supervisor, TaskEnded};
use process::{shutdown, telemetry};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::consume::consumer::{self, LOG};
use crate::consume::consumer_channel;
use crate::context::Context;
use crate::context::log_ends::LogEnds;
use crate::context::ownership::{self, OwnershipSender};
use crate::context::progress::Progress;
use crate::observe::{lag, stock_gauges};
use crate::prepare::{schema, topics};
use crate::publish::{committed_events, events, positions, sales, ticks};
use crate::recover::{rebuild, reconcile, relay, release};
use crate::settings::Settings;
use crate::settle::settler::Settler;
use crate::store::database;

/// The number of batches that wait between the consumer and the settle loop: one is gathered while one is settled.
const BATCHES_MAX: usize = 1;
/// The maximum number of connections to the listener, which serves scrapers and probes.
const CONNECTIONS_MAX: usize = 64;
/// The timeout of a Redis script. No customer waits for these scripts.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval between two checks of Postgres, and of Redis.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Settings of the producer for the log and the topic `sales`: few messages, each of which a task awaits.
const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 0.0, timeout_ms: 5000, queue_messages_max: 100_000 };
/// The time limit of the first shutdown step: running tasks finish. All three steps together fit into
/// [`shutdown::DRAIN_SECONDS_MAX`].
const FINISH: Duration = Duration::from_secs(6);
/// The time limit of the second step: the consumer leaves its group.
const LEAVE: Duration = Duration::from_secs(2);
/// The time limit of the last step: queued messages are flushed.
const FLUSH: Duration = Duration::from_secs(1);

/// An error that prevents the process from running at all. An unavailable service is not one: the process waits.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The process cannot listen on the address.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The settings of the database pool are invalid.
    #[error(transparent)]
    Pool(#[from] process::postgres::PoolError),
    /// The settings of a producer are invalid.
    #[error("Kafka: {0}")]
    Producer(#[from] rdkafka::error::KafkaError),
    /// The settings of the connection to Redis are invalid.
    #[error("REDIS_URL: {0}")]
    Redis(#[from] lua::RedisError),
    /// The operating system cannot start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// A task has ended, and the process had to stop.
    #[error(transparent)]
    TaskEnded(#[from] TaskEnded),
}

/// Binds the listener of the settings. Port 0 binds a free port.
pub async fn bind(settings: &Settings) -> Result<TcpListener, RunError> {
    let address = settings.settlement.settlement_listen;
    TcpListener::bind(address).await.map_err(|error| RunError::Listen(address, error))
}

/// Runs until `shutdown` is cancelled, and returns when all running work has finished.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    process::metric::register("settlement");
    let services = &settings.services;
    let (owned, ownership) = ownership::channel();
    let context = Context {
        pool: database::pool(services)?,
        redis: Redis::connect(&services.redis_url, REDIS_TIMEOUT)?,
        producer: Producer::start(&services.kafka_brokers, "settlement", &PRODUCER)?,
        health: Health::default(),
        ownership,
        progress: Progress::default(),
        log_ends: LogEnds::default(),
        stop: shutdown.clone(),
        settings: Arc::new(settings.clone()),
    };
    let event_producer = events::producer(services)?;
    let tasks =
        SupervisedTasks { tracker: TaskTracker::new(), supervisor: Supervisor::new(shutdown.clone()) };
    for dependency in ["postgres", "kafka", "redis", "schema", "topics", LOG] {
        context.health.declare(dependency, true);
    }
    serve(&context, listener, metrics, &tasks);
    tasks.spawn("check services", check_services(context.clone()));

    let mut threads = Vec::new();
    if prepare(&context).await.is_some() {
        threads = start(&context, owned, event_producer.clone(), &tasks)?;
        shutdown.cancelled().await;
    }
    tasks.tracker.close();
    shutdown::finish("running tasks", FINISH, tasks.tracker.wait()).await;
    let joined = tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
    shutdown::finish("leaving the consumer group", LEAVE, async { drop(joined.await) }).await;
    for producer in [context.producer, event_producer] {
        let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(%error, "could not flush all Kafka messages");
        }
    }
    tracing::info!("settlement has stopped");
    Ok(tasks.supervisor.result()?)
}

/// The tasks of the process. If one of them ends before the process is to stop, the process stops.
struct SupervisedTasks {
    tracker: TaskTracker,
    supervisor: Supervisor,
}

impl SupervisedTasks {
    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(self.supervisor.watch(name, work));
    }

    fn spawn_thread(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let guard = self.supervisor.guard(name);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            work();
            drop(guard);
        })
    }
}

/// Serves metrics and health. It starts first, because they show which dependency the process waits for.
fn serve(context: &Context, listener: TcpListener, metrics: PrometheusHandle, tasks: &SupervisedTasks) {
    let address = listener.local_addr().unwrap_or(context.settings.settlement.settlement_listen);
    tracing::info!(%address, "serving /metrics and /health");
    tasks.spawn("upkeep of metrics", telemetry::upkeep(metrics.clone(), context.stop.clone()));
    let health = context.health.clone();
    let handler = move |request: hyper::Request<hyper::body::Incoming>| {
        let response = health::respond(request.uri().path(), &health, &metrics);
        std::future::ready(response.unwrap_or_else(health::not_found))
    };
    tasks.spawn("listener", process::http::serve(listener, CONNECTIONS_MAX, handler, context.stop.clone()));
}

/// Checks Postgres and Redis for readiness until the process stops.
async fn check_services(Context { pool, redis, health, stop, .. }: Context) {
    tokio::join!(
        health.probe_until_stopped("postgres", CHECK_INTERVAL, &stop, || process::postgres::ping(&pool)),
        health.probe_until_stopped("redis", CHECK_INTERVAL, &stop, || redis.ping()),
    );
}

/// Prepares the schema and the topics, and retries until the services are available. Returns `None` at shutdown.
async fn prepare(context: &Context) -> Option<()> {
    let Context { settings, pool, health, stop, .. } = context;
    let migrate = || async {
        let result = schema::migrate(pool).await;
        health.report("schema", &result);
        result
    };
    retry("migrating the schema", stop, migrate).await?;
    let create_topics = || async {
        let result = topics::prepare(settings, pool).await;
        health.report("topics", &result);
        result
    };
    retry("creating the topics", stop, create_topics).await
}

/// Starts the settle loop and all tasks that depend on it. Returns the threads of the blocking ones.
fn start(
    context: &Context,
    owned: OwnershipSender,
    event_producer: Producer,
    tasks: &SupervisedTasks,
) -> Result<Vec<JoinHandle<()>>, RunError> {
    let (committed, committed_batches) = committed_events::channel();
    let (commands, mut consumer_commands) = consumer_channel::commands();
    let (batches, consumer_events) = mpsc::channel(BATCHES_MAX);
    let settler =
        Settler::new(context.pool.clone(), context.progress.clone(), committed, context.settings.delivery);
    tasks.spawn("settle", settler.run(consumer_events, commands, owned, context.stop.clone()));
    tasks.spawn("publish events", events::run(context.clone(), event_producer, committed_batches));
    tasks.spawn("publish sales", sales::run(context.clone()));
    tasks.spawn("rebuild", rebuild::run(context.clone()));
    tasks.spawn("relay", relay::run(context.clone()));
    tasks.spawn("release", release::run(context.clone()));
    tasks.spawn("ticks", ticks::run(context.clone()));
    tasks.spawn("stock gauges", stock_gauges::run(context.clone()));
    tasks.spawn("reconcile", reconcile::run(context.clone()));
    tasks.spawn("publish positions", positions::run(context.clone()));
    let consumer_context = context.clone();
    let consume = move || {
        consumer::run(&consumer_context, &batches, &mut consumer_commands, &consumer_context.stop);
    };
    let lag_context = context.clone();
    let measure_lag = move || lag::run(&lag_context);
    Ok(vec![tasks.spawn_thread("consume", consume)?, tasks.spawn_thread("lag", measure_lag)?])
}

//! Starting, serving, and ending in the right order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::lifecycle::Language;
use contract::problem::Code;
use contract::topics::{ORDERS, SALES};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request};
use lua::Redis;
use metrics_exporter_prometheus::PrometheusHandle;
use process::health::{self, Health};
use process::kafka::{Producer, ProducerSettings};
use process::{http, postgres, shutdown, telemetry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::admin::overview::Overview;
use crate::command;
use crate::http::authenticate;
use crate::http::cors::{self, Cors};
use crate::http::language::preferred_language;
use crate::http::problem::Problem;
use crate::http::problem::unrouted;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::http::static_page;
use crate::live::registry::Registry;
use crate::live::{self, sse, ws};
use crate::metrics::{Requests, outcome};
use crate::openapi::{self, Part};
use crate::order::backpressure;
use crate::order::hand_off::HandOff;
use crate::order::place::{self, SoldOutAnswers};
use crate::order::reserve::Batcher;
use crate::order::sale_queue::{SaleQueue, SaleQueues};
use crate::order::stock_cache;
use crate::payment_callback;
use crate::read;
use crate::read::order_status_loader::OrderStatusLoader;
use crate::route::{Admin, DOCS, Public, allowed};
use crate::sales::lease::{self, Leases};
use crate::settings::Settings;
use crate::state::Gateway;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody could be told from anybody.
    #[error(
        "no identity is configured: development identities are taken with --dev-auth (GATEWAY_DEV_AUTH=true)"
    )]
    NoIdentity,
    /// An address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(std::net::SocketAddr, std::io::Error),
    /// `REDIS_URL` is no URL.
    #[error("REDIS_URL: {0}")]
    Redis(#[from] lua::RedisError),
    /// `DATABASE_URL` is no URL.
    #[error(transparent)]
    Postgres(#[from] postgres::PoolError),
    /// A setting that the Kafka client does not take.
    #[error("Kafka client: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
}

/// A query may take so long, in milliseconds; and must not write. Its plan may be made when the tables are empty,
/// and is kept: each query has its index, and must take it from the first row on.
const READ_OPTIONS: &str =
    "-c default_transaction_read_only=on -c statement_timeout=2000 -c jit=off -c enable_seqscan=off";
/// An operator's change may take so long.
const WRITE_OPTIONS: &str = "-c statement_timeout=5000 -c lock_timeout=2000";
/// Between two looks at dependencies, and at which sales there are.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A dependency that takes longer to say hello is not there.
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Between two looks for new sales: a sale can be bought from this long after its publication.
const DESKS_EVERY: Duration = Duration::from_millis(50);
/// At shutdown, streams may take so long to say goodbye, beside the connections that are drained first.
const STREAMS_DRAIN: Duration = Duration::from_secs(1);
/// At shutdown, batchers may take so long to empty their queues.
const DRAIN: Duration = Duration::from_secs(7);

/// At shutdown, what is on its way to the log may take so long.
const FLUSH: Duration = Duration::from_secs(3);

/// Runs the gateway until `stop`, then drains it.
pub async fn run(
    settings: Settings,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> Result<(), StartError> {
    if !settings.dev_auth {
        return Err(StartError::NoIdentity);
    }
    process::metric_help::register(crate::described::METRICS);
    let listen = |address| async move {
        TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
    };
    let (public, private) = (listen(settings.listen).await?, listen(settings.admin_listen).await?);
    let name = settings.name.clone().unwrap_or_else(|| format!("gateway-{}", uuid::Uuid::new_v4().simple()));

    let health = Health::default();
    for dependency in ["redis", "kafka", "lease"] {
        health.declare(dependency, true);
    }
    for dependency in ["postgres", "settlement"] {
        health.declare(dependency, false); // sales go on without them
    }

    let services = &settings.services;
    let produce = |name: &str, linger_ms, queue_messages_max| {
        let timeout_ms = settings.handoff_timeout_ms;
        let settings = ProducerSettings { linger_ms, timeout_ms, queue_messages_max };
        Producer::start(&services.kafka_brokers, name, &settings)
    };
    let producer = produce(&name, settings.handoff_linger_ms, 10_000)?;
    let commands = produce(&format!("{name}-commands"), settings.command_linger_ms, 100_000)?;
    let leases = Leases::new();
    let reads =
        postgres::pool(&services.database_url, services.database_pool_size, "gateway reads", READ_OPTIONS)?;
    let gateway = Arc::new(Gateway {
        sale_queues: SaleQueues::default(),
        redis: Redis::connect(&services.redis_url, settings.reserve_timeout())?,
        standings: OrderStatusLoader::new(reads.clone()),
        reads,
        writes: postgres::pool(&services.database_url, 4, "gateway admin", WRITE_OPTIONS)?,
        hand_off: Arc::new(HandOff::new(
            producer.clone(),
            commands.clone(),
            services.topic(ORDERS.name),
            leases.clone(),
        )),
        lag_max: settings.lag_max(),
        webhook_secret: settings.payment_webhook_secret.clone(),
        sold_out: SoldOutAnswers::default(),
        live: Registry::new(settings.live_streams_max),
        storefront: settings.storefront,
        overview: Overview::new(&name, &services.kafka_brokers, services.topic(ORDERS.name)),
        requests: Requests::default(),
        placing: Arc::default(),
        cors: Cors::new(settings.cors_origins.clone()),
        health: health.clone(),
        metrics: metrics.clone(),
        leases: leases.clone(),
    });

    // Ends with the process: leases are needed until the last answer.
    let ending = CancellationToken::new();
    let following = lease::start(
        leases,
        &services.kafka_brokers,
        services.topic(SALES.name),
        name.clone(),
        producer.clone(),
        health.clone(),
        ending.clone(),
    )?;
    tokio::spawn(telemetry::upkeep(metrics, ending.clone()));
    tokio::spawn(look_at_dependencies(gateway.clone(), ending.clone()));
    let batchers = TaskTracker::new();
    let draining = CancellationToken::new();
    tokio::spawn(keep_desks(
        gateway.clone(),
        settings.queue_orders_max as usize,
        batchers.clone(),
        draining.clone(),
        ending.clone(),
    ));

    let live = live::start(&gateway, services, &name, stop.clone());

    tracing::info!(%name, public = %settings.listen, admin = %settings.admin_listen, "listening");
    let serving = {
        let gateway = gateway.clone();
        let handler = move |request| serve_public(gateway.clone(), request);
        http::serve(public, settings.connections_max, handler, stop.clone())
    };
    let operating = tokio::spawn({
        let gateway = gateway.clone();
        let handler = move |request| serve_private(gateway.clone(), request);
        http::serve(private, 1000, handler, ending.clone()) // health and metrics to the end
    });
    serving.await;
    for task in live {
        shutdown::finish("live updates", STREAMS_DRAIN, async { drop(task.await) }).await;
    }

    draining.cancel();
    batchers.close();
    shutdown::finish("queues", DRAIN, batchers.wait()).await;
    let flush = move || commands.flush(FLUSH).and(producer.flush(FLUSH));
    let flushed = tokio::task::spawn_blocking(flush).await;
    if !matches!(flushed, Ok(Ok(()))) {
        tracing::warn!("the producer did not flush in time; the outbox holds what it had");
    }
    ending.cancel();
    shutdown::finish("admin listener", Duration::from_secs(1), async { drop(operating.await) }).await;
    for task in following {
        shutdown::finish("lease", Duration::from_secs(1), async { drop(task.await) }).await;
    }
    gateway.redis.quit().await;
    tracing::info!("ended");
    Ok(())
}

/// Sets up a sale_queue for each sale that is published.
async fn keep_desks(
    gateway: Arc<Gateway>,
    queue_orders_max: usize,
    batchers: TaskTracker,
    draining: CancellationToken,
    ending: CancellationToken,
) {
    let mut every = tokio::time::interval(DESKS_EVERY);
    while draining.run_until_cancelled(every.tick()).await.is_some() {
        let lease = gateway.leases.load_full();
        for sale in lease.sales.keys() {
            if gateway.sale_queues.get(sale).is_some() {
                continue;
            }
            let (sale_queue, jobs) = SaleQueue::new(sale, queue_orders_max);
            let sale_queue = Arc::new(sale_queue);
            let batcher = Batcher::new(
                sale.clone(),
                sale_queue.clone(),
                gateway.leases.clone(),
                gateway.redis.clone(),
                gateway.hand_off.clone(),
            );
            batchers.spawn(batcher.run(jobs, draining.clone()));
            tokio::spawn(stock_cache::watch(
                sale_queue.clone(),
                sale.clone(),
                gateway.leases.clone(),
                gateway.redis.clone(),
                ending.clone(),
            ));
            gateway.sale_queues.put(sale.clone(), sale_queue);
        }
    }
}

/// Readiness that comes and goes with the services; Kafka and the lease tell of themselves. One that hangs
/// does not keep the others from being looked at.
async fn look_at_dependencies(gateway: Arc<Gateway>, ending: CancellationToken) {
    let health = &gateway.health;
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while ending.run_until_cancelled(every.tick()).await.is_some() {
        let redis = async {
            let answer = gateway.redis.command::<String>("PING", vec![]).await;
            answer.map(drop).map_err(|error| error.to_string())
        };
        let postgres = async {
            let client = gateway.reads.get().await.map_err(|error| error.to_string())?;
            client.simple_query("SELECT 1").await.map(drop).map_err(|error| error.to_string())
        };
        tokio::join!(look_at("redis", health, redis), look_at("postgres", health, postgres));
        health.report("settlement", &backpressure::settlement(&gateway.leases.load(), gateway.lag_max));
    }
}

async fn look_at(name: &'static str, health: &Health, look: impl Future<Output = Result<(), String>>) {
    let looked = tokio::time::timeout(LOOK_MAX, look).await;
    health.report(name, &looked.unwrap_or_else(|_| Err("no answer in time".into())));
}

async fn serve_public(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response {
    let since = Instant::now();
    let (mut head, body) = request.into_parts();
    let upgrade = head.extensions.remove::<OnUpgrade>();
    let origin = gateway.cors.allowed(&head.headers);
    if head.method == Method::OPTIONS {
        return gateway.cors.preflight(&head.headers);
    }
    let language = preferred_language(&head.headers);
    let (mut answer, route, outcome) = match Public::of(&head.method, head.uri.path()) {
        Err(code) => {
            let allow = || allowed(|method| Public::of(method, head.uri.path()).is_ok());
            (unrouted(code, language, allow), "none", code.as_str())
        }
        Ok(route) => {
            let call = RequestContext { gateway: &gateway, head: &head, language };
            let (answer, outcome) = match route {
                Public::PlaceOrder { sale } => place::place(&gateway, sale, &head, body, language).await,
                Public::Page => public_page(call, &storefront::SHOP, head.uri.path()),
                Public::Docs => public_page(call, &storefront::DOCS, inside_docs(head.uri.path())),
                // Apart, because a connection keeps room for the largest future for as long as it lasts.
                route => Box::pin(serve_beside(call, route, body, upgrade)).await,
            };
            (answer, route.label(), outcome)
        }
    };
    if let Some(origin) = origin {
        cors::mark(&mut answer, origin);
    }
    gateway.requests.count(route, outcome, since);
    answer
}

/// A file of a page on the public listener, where they are wanted.
fn public_page(call: RequestContext<'_>, page: &storefront::Page, path: &str) -> (Response, &'static str) {
    let found = if call.gateway.storefront {
        static_page::answer(page, path, &call.head.headers)
    } else {
        Err(Code::NotFound.into())
    };
    told(found, outcome::OK, call.language)
}

/// A file of the documents' page, by its path inside.
fn inside_docs(path: &str) -> &str {
    path.strip_prefix(DOCS).filter(|rest| !rest.is_empty()).unwrap_or("/")
}

/// An answer with its outcome.
fn told(
    answered: Result<Response, Problem>,
    good: &'static str,
    language: Language,
) -> (Response, &'static str) {
    match answered {
        Ok(answer) => (answer, good),
        Err(problem) => (problem.response(language), problem.code.as_str()),
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whatever is asked beside orders.
async fn serve_beside(
    call: RequestContext<'_>,
    route: Public<'_>,
    body: Incoming,
    upgrade: Option<OnUpgrade>,
) -> (Response, &'static str) {
    let (good, answered) = match route {
        Public::CancelOrder { sale, order } => (outcome::ACCEPTED, command::cancel(call, sale, order).await),
        Public::PayOrder { sale, order } => (outcome::ACCEPTED, command::pay(call, sale, order, body).await),
        Public::RefundOrder { sale, order } => (outcome::ACCEPTED, command::refund(call, sale, order).await),
        Public::PaymentCallback => {
            (outcome::ACCEPTED, payment_callback::take(call.gateway, call.head, body).await)
        }
        Public::Document => (outcome::OK, Ok(openapi::answer(Part::Public))),
        Public::OrderEvents { sale, order } => (outcome::OK, sse::answer(call, sale, order).await),
        Public::OrderSocket { sale, order } => (outcome::OK, ws::answer(call, sale, order, upgrade).await),
        route => (outcome::OK, read::answer(call, route).await),
    };
    told(answered, good, call.language)
}

async fn serve_private(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response {
    let since = Instant::now();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let language = preferred_language(&head.headers);
    if let Some(answer) = health::respond(path, &gateway.health, &gateway.metrics) {
        if !is_read(&head.method) {
            return unrouted(Code::MethodNotAllowed, language, || allowed(is_read));
        }
        return answer.map(Either::Left);
    }
    let (answer, route, outcome) = match Admin::of(&head.method, path) {
        Err(code) => {
            let allow = || allowed(|method| Admin::of(method, path).is_ok());
            (unrouted(code, language, allow), "none", code.as_str())
        }
        Ok(route) => {
            let answered = match (route, authenticate::admin(&head.headers)) {
                // Nothing in it is secret; what it shows it asks of the API, as its operator.
                (Admin::Page, _) => static_page::answer(&storefront::OPERATOR, path, &head.headers),
                (Admin::Docs, _) => static_page::answer(&storefront::DOCS, inside_docs(path), &head.headers),
                (Admin::Document, _) => Ok(openapi::answer(Part::All)),
                (_, Err(code)) => Err(code.into()),
                (route, Ok(())) => {
                    let call = RequestContext { gateway: &gateway, head: &head, language };
                    admin::answer(call, route, body).await
                }
            };
            let (answer, outcome) = told(answered, outcome::OK, language);
            (answer, route.label(), outcome)
        }
    };
    gateway.requests.count(route, outcome, since);
    answer
}

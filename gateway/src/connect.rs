//! Connects to the services, and builds the state from the settings. A service that is down does not prevent the
//! start: clients connect and reconnect by themselves.

use std::sync::Arc;

use contract::topics::ORDERS;
use lua::Redis;
use metrics_exporter_prometheus::PrometheusHandle;
use process::health::Health;
use process::kafka::{Producer, ProducerSettings};
use process::postgres;
use rdkafka::error::KafkaError;
use tokio::sync::Semaphore;

use crate::admin::overview::Overview;
use crate::endpoints;
use crate::http::cors::Cors;
use crate::live::registry::Registry;
use crate::metrics::Requests;
use crate::openapi::document::Document;
use crate::order::first_answer;
use crate::order::hand_off::HandOff;
use crate::order::in_flight::InFlight;
use crate::order::sale_queue::SaleQueues;
use crate::order::sold_out_responses::SoldOutResponses;
use crate::read::order_status_loader::OrderStatusLoader;
use crate::sales::lease::Leases;
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::state::Gateway;

/// A query must not write, and takes at most 2 s. Its plan may be made when the tables are empty, and is kept: each
/// query has its index, and must use it from the first row on.
const READ_OPTIONS: &str =
    "-c default_transaction_read_only=on -c statement_timeout=2000 -c jit=off -c enable_seqscan=off";
/// An operator's change takes at most 5 s, and waits at most 2 s for a lock.
const WRITE_OPTIONS: &str = "-c statement_timeout=5000 -c lock_timeout=2000";
/// Connections for the operator's changes.
const WRITE_CONNECTIONS: usize = 4;
/// Messages that may wait in the producer of batches.
const BATCH_MESSAGES_MAX: usize = 10_000;
/// Messages that may wait in the producer of commands: each is a message of its own.
const COMMAND_MESSAGES_MAX: usize = 100_000;

/// The state, and what only this gateway's own tasks use.
pub struct Connections {
    /// This gateway's name.
    pub name: String,
    /// The state that all endpoints share.
    pub gateway: Arc<Gateway>,
    /// Produces batches and heartbeats.
    pub producer: Producer,
    /// Produces commands, which linger to be sent together.
    pub command_producer: Producer,
}

/// Creates the clients of all services, and the state.
pub fn connect(settings: &Settings, metrics: PrometheusHandle) -> Result<Connections, StartError> {
    let name = settings.name.clone().unwrap_or_else(|| format!("gateway-{}", uuid::Uuid::new_v4().simple()));
    let services = &settings.services;
    let producer = producer(settings, &name, settings.handoff_linger_ms, BATCH_MESSAGES_MAX)?;
    let command_producer = {
        let name = format!("{name}-commands");
        self::producer(settings, &name, settings.command_linger_ms, COMMAND_MESSAGES_MAX)?
    };
    let leases = Leases::new();
    let hand_off =
        HandOff::new(producer.clone(), command_producer.clone(), services.topic(ORDERS.name), leases.clone());
    let (url, connections) = (&services.database_url, services.database_pool_size);
    let read_pool = postgres::pool(url, connections, "gateway reads", READ_OPTIONS)?;
    let gateway = Gateway {
        sale_queues: SaleQueues::default(),
        redis: Redis::connect(&services.redis_url, settings.reserve_timeout())?,
        order_statuses: OrderStatusLoader::new(read_pool.clone()),
        read_pool,
        write_pool: postgres::pool(url, WRITE_CONNECTIONS, "gateway admin", WRITE_OPTIONS)?,
        hand_off: Arc::new(hand_off),
        first_answers: Semaphore::new(first_answer::LOOKUPS_MAX),
        lag_max: settings.lag_max(),
        webhook_secret: settings.payment_webhook_secret.clone(),
        sold_out: SoldOutResponses::default(),
        live: Registry::new(settings.live_streams_max),
        has_storefront: settings.storefront,
        overview: Overview::new(&name, &services.kafka_brokers, services.topic(ORDERS.name)),
        requests: Requests::default(),
        in_flight: InFlight::default(),
        cors: Cors::new(settings.cors_origins.clone()),
        health: expected_dependencies(),
        public_document: Document::new(endpoints::public_document),
        complete_document: Document::new(endpoints::complete_document),
        metrics,
        leases,
    };
    Ok(Connections { name, gateway: Arc::new(gateway), producer, command_producer })
}

fn expected_dependencies() -> Health {
    let health = Health::default();
    for dependency in ["redis", "kafka", "lease"] {
        health.declare(dependency, true);
    }
    for dependency in ["postgres", "settlement"] {
        health.declare(dependency, false); // orders are accepted without them
    }
    health
}

fn producer(
    settings: &Settings,
    name: &str,
    linger_ms: f64,
    queue_messages_max: usize,
) -> Result<Producer, KafkaError> {
    let timeout_ms = settings.handoff_timeout_ms;
    let producer_settings = ProducerSettings { linger_ms, timeout_ms, queue_messages_max };
    Producer::start(&settings.services.kafka_brokers, name, &producer_settings)
}

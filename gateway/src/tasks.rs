//! The gateway's own tasks: what runs beside the requests.

use std::time::Duration;

use process::supervisor::Supervisor;
use process::{postgres, telemetry};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use contract::topics::SALES;

use crate::connect::Connections;
use crate::live;
use crate::order::backpressure;
use crate::order::sale_workers::SaleWorkers;
use crate::sales::lease_renewal::LeaseRenewal;
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::state::Gateway;

/// The pause between two checks of a dependency.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The running tasks, and the signals that end them.
pub struct Tasks {
    /// Ends the tasks that are needed until the last response: the lease, health checks, metrics, stock.
    pub stop: CancellationToken,
    /// Ends the batchers once their queues are empty.
    pub drain: CancellationToken,
    /// The batchers of all sales.
    pub batchers: TaskTracker,
    /// The tasks of live updates. They end at the signal to stop.
    pub live: Vec<JoinHandle<()>>,
    /// The tasks of the lease.
    pub lease: Vec<JoinHandle<()>>,
    /// Watches all of them.
    pub supervisor: Supervisor,
}

/// Spawns the tasks. `stop` is the signal that the gateway must stop.
pub fn spawn(
    settings: &Settings,
    connections: &Connections,
    stop: &CancellationToken,
) -> Result<Tasks, StartError> {
    let Connections { name, gateway, producer, .. } = connections;
    let services = &settings.services;
    let (last, drain) = (CancellationToken::new(), CancellationToken::new());
    let renewal = LeaseRenewal {
        leases: gateway.leases.clone(),
        brokers: services.kafka_brokers.clone(),
        topic: services.topic(SALES.name),
        name: name.clone(),
        producer: producer.clone(),
        health: gateway.health.clone(),
    };
    let supervisor = Supervisor::new(stop.clone());
    let lease = renewal.spawn(&supervisor, &last)?;
    let upkeep = telemetry::upkeep(gateway.metrics.clone(), last.clone());
    tokio::spawn(supervisor.watch("upkeep of metrics", upkeep));
    tokio::spawn(supervisor.watch("check dependencies", {
        let (gateway, last) = (gateway.clone(), last.clone());
        async move { check_dependencies(&gateway, &last).await }
    }));
    let batchers = TaskTracker::new();
    tokio::spawn(supervisor.watch("workers of sales", {
        let (gateway, batchers, drain, last, supervisor) =
            (gateway.clone(), batchers.clone(), drain.clone(), last.clone(), supervisor.clone());
        let queue_orders_max = settings.queue_orders_max as usize;
        async move {
            let workers = SaleWorkers {
                leases: &gateway.leases,
                queues: &gateway.sale_queues,
                redis: &gateway.redis,
                hand_off: &gateway.hand_off,
                queue_orders_max,
                supervisor: &supervisor,
            };
            workers.start_until_drained(batchers, drain, last).await;
        }
    }));
    let live = live::start(&gateway.live, &gateway.read_pool, services, name, &supervisor, stop.clone());
    Ok(Tasks { stop: last, drain, batchers, live, lease, supervisor })
}

/// Checks the dependencies for readiness until `stop`, apart from Kafka and the lease, which the lease's renewal reports.
async fn check_dependencies(gateway: &Gateway, stop: &CancellationToken) {
    let health = &gateway.health;
    let check_settlement =
        || std::future::ready(backpressure::check_settlement(&gateway.leases.load(), gateway.lag_max));
    tokio::join!(
        health.probe_until_stopped("redis", CHECK_INTERVAL, stop, || gateway.redis.ping()),
        health.probe_until_stopped("postgres", CHECK_INTERVAL, stop, || postgres::ping(&gateway.read_pool)),
        health.probe_until_stopped("settlement", CHECK_INTERVAL, stop, check_settlement),
    );
}

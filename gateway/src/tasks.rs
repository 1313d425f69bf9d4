//! The gateway's own tasks: what runs beside the requests.

use process::telemetry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use contract::topics::SALES;

use crate::connect::Connections;
use crate::dependency_checks;
use crate::live;
use crate::order::sale_workers::SaleWorkers;
use crate::sales::lease_renewal::LeaseRenewal;
use crate::settings::Settings;
use crate::start_error::StartError;

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
    let lease = renewal.spawn(&last)?;
    tokio::spawn(telemetry::upkeep(gateway.metrics.clone(), last.clone()));
    tokio::spawn({
        let (gateway, last) = (gateway.clone(), last.clone());
        async move { dependency_checks::check_until_stopped(&gateway, last).await }
    });
    let batchers = TaskTracker::new();
    tokio::spawn({
        let (gateway, batchers, drain, last) =
            (gateway.clone(), batchers.clone(), drain.clone(), last.clone());
        let queue_orders_max = settings.queue_orders_max as usize;
        async move {
            let workers = SaleWorkers {
                leases: &gateway.leases,
                queues: &gateway.sale_queues,
                redis: &gateway.redis,
                hand_off: &gateway.hand_off,
                queue_orders_max,
            };
            workers.start_until_drained(batchers, drain, last).await;
        }
    });
    let live = live::start(&gateway.live, &gateway.read_pool, services, name, stop.clone());
    Ok(Tasks { stop: last, drain, batchers, live, lease })
}

//! The consumer group `payments`: charges and refunds card payments, and appends the results to the log. Settlement
//! does the rest; no money is moved inside its transaction.
//!
//! Postgres holds what must be done about a payment: its row, and the status of its order. Events make the work start
//! early, the sweep makes it certain. A cancelled order is never charged: its payment is voided at the provider, and
//! if the provider had captured the money already, settlement requests a refund. A result without a response is
//! queried again with the same id, never guessed.
//!
//! | module | what it holds |
//! |---|---|
//! | [`payment`] | a payment as Postgres stores it, and its next action |
//! | [`provider_client`] | calls to the provider: time limits, circuit breaker |
//! | [`payment_worker`] | works on one payment: read, call, append to the log |
//! | [`sweep`] | finds the payments that were missed |
//! | [`settings`] | every setting |

pub mod payment;
pub mod payment_worker;
pub mod provider_client;
pub mod settings;
pub mod sweep;

use std::sync::Arc;
use std::time::Duration;

use contract::lifecycle::OrderStatus;
use contract::topics::ORDERS;
use process::kafka::{Producer, ProducerSettings};

use crate::group::{self, Failure, Group, GroupError, Handler, ReceivedEvent};
use crate::host::Host;
use crate::tls::TrustStore;
use payment_worker::{PaymentWorker, PaymentWorkerError};
use provider_client::ProviderClient;
pub use settings::PaymentsSettings;

/// The consumer group of this component.
pub const GROUP: Group = Group::new("payments", "payments.retry", "payments.dead-letter");
/// The producer of results: many at once after a burst.
const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 2.0, timeout_ms: 5000, queue_messages_max: 10_000 };
/// The interval between two probes of the provider, for its health check and to close its circuit.
const PROBE_EVERY: Duration = Duration::from_secs(1);

struct Payments {
    worker: Arc<PaymentWorker>,
}

impl Handler for Payments {
    /// Works on the payment of the event's order. An unresolved payment is not a failure of the event: the sweep finds
    /// it in Postgres.
    async fn handle(&self, received: &ReceivedEvent) -> Result<(), Failure> {
        match received.event.status {
            OrderStatus::PaymentRequested | OrderStatus::Cancelled | OrderStatus::RefundRequested => {
                let tried = received.attempt > 1;
                self.worker.process_order(received.event.order_id, tried).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl From<PaymentWorkerError> for Failure {
    /// An unavailable log is not the event's fault.
    fn from(error: PaymentWorkerError) -> Self {
        match error {
            PaymentWorkerError::Database(error) => error.into(),
            PaymentWorkerError::Log(_) => Self::Unavailable(error.to_string()),
        }
    }
}

/// Runs the component until the host stops.
pub async fn run(host: &Host, settings: PaymentsSettings) -> Result<(), GroupError> {
    let provider = ProviderClient::new(
        &settings.provider_url,
        settings.payment_callback_url.clone(),
        settings.provider_timeout(),
        &TrustStore::new(&settings.tls)?,
        host.health.clone(),
    )?;
    let producer = Producer::start(&host.services.kafka_brokers, "payments-results", &PRODUCER)?;
    let pool = host.postgres_pool("payments")?;
    let log = host.services.topic(ORDERS.name);
    let worker = Arc::new(PaymentWorker::new(pool.clone(), provider.clone(), producer, log));
    let (sweep_host, sweep_worker, schedule) = (host.clone(), worker.clone(), settings.sweep_schedule());
    host.spawn("sweep", async move {
        if sweep_host.wait_for_schema(&pool, &["payment"]).await.is_some() {
            sweep::run(pool, sweep_worker, schedule, sweep_host.stop.clone()).await;
        }
    });
    let stop = host.stop.clone();
    host.spawn("probe the provider", async move {
        let mut ticks = tokio::time::interval(PROBE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            stop.run_until_cancelled(provider.probe()).await;
        }
    });
    group::run(host, GROUP, &settings.group, settings.payments_listen, Payments { worker }).await
}

//! The consumer group `payments`: takes and returns the money of card payments, and tells the log what
//! became of it. Settlement does the rest; money never moves inside its transaction.
//!
//! What is to be done about a payment stands in Postgres: its row, and its order's status. Events make it
//! quick, the sweep makes it certain. An order that is cancelled is never charged: its payment is voided at
//! the provider, and if the provider had taken the money already, settlement has it sent back. What the
//! provider does not say is asked for again with the same id, never guessed.
//!
//! | module | what it holds |
//! |---|---|
//! | [`payment`] | a payment as it is written, and what is to be done about it |
//! | [`provider_client`] | calls to the provider: limits, circuit breaker |
//! | [`payment_worker`] | one payment: read, do, tell the log |
//! | [`sweep`] | whatever was missed |
//! | [`settings`] | every setting |

pub mod payment;
pub mod payment_worker;
pub mod provider_client;
pub mod settings;
pub mod sweep;

use std::sync::Arc;

use contract::lifecycle::OrderStatus;
use contract::topics::ORDERS;
use process::kafka::{Producer, ProducerSettings};

use crate::RunError;
use crate::group::{self, Failure, Group, GroupError, Handler, ReceivedEvent};
use crate::host::Host;
use crate::tls::TrustStore;
use payment_worker::{PaymentWorker, PaymentWorkerError};
use provider_client::ProviderClient;
pub use settings::PaymentsSettings;

/// The group.
pub const GROUP: Group = Group::new("payments", "payments.retry", "payments.dead-letter");
/// For the log: results, many at once after a burst.
const PRODUCER: ProducerSettings =
    ProducerSettings { linger_ms: 2.0, timeout_ms: 5000, queue_messages_max: 10_000 };
/// Between two looks at the provider, for health and to close its circuit.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

struct Payments {
    payment_worker: Arc<PaymentWorker>,
}

impl Handler for Payments {
    /// What stays open is not a failure of the event: the sweep finds it in Postgres.
    async fn handle(&self, delivered: &ReceivedEvent) -> Result<(), Failure> {
        match delivered.event.status {
            OrderStatus::PaymentRequested | OrderStatus::Cancelled | OrderStatus::RefundRequested => {
                let tried = delivered.attempt > 1;
                self.payment_worker
                    .process_order(delivered.event.order_id, tried)
                    .await
                    .map(drop)
                    .map_err(Failure::from)
            }
            _ => Ok(()),
        }
    }
}

impl From<PaymentWorkerError> for Failure {
    /// The log being away is no event's fault.
    fn from(error: PaymentWorkerError) -> Self {
        match error {
            PaymentWorkerError::Database(error) => error.into(),
            PaymentWorkerError::Log(_) => Self::Unavailable(error.to_string()),
        }
    }
}

/// Runs until the host stops.
pub async fn run(host: &Host, settings: PaymentsSettings) -> Result<(), RunError> {
    let provider = ProviderClient::new(
        &settings.provider_url,
        settings.payment_callback_url.clone(),
        settings.provider_timeout(),
        &TrustStore::new(&settings.outgoing)?,
        host.health.clone(),
    )?;
    let producer = Producer::start(&host.services.kafka_brokers, "payments-results", &PRODUCER)
        .map_err(GroupError::from)?;
    let pool = host.postgres("payments")?;
    let log = host.services.topic(ORDERS.name);
    let payment_worker = Arc::new(PaymentWorker::new(pool.clone(), provider.clone(), producer, log));
    let (sweeping, swept, pace) = (host.clone(), payment_worker.clone(), settings.pace());
    host.tasks.spawn(async move {
        if sweeping.schema(&pool, &["payment"]).await.is_some() {
            sweep::run(pool, swept, pace, sweeping.stop.clone()).await;
        }
    });
    let stop = host.stop.clone();
    host.tasks.spawn(async move {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            stop.run_until_cancelled(provider.probe()).await;
        }
    });
    group::run(host, GROUP, &settings.group, settings.payments_listen, Payments { payment_worker }).await
}

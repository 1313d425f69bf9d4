//! Works on one payment: reads it, calls the provider, and appends the result to the log when it is certain.
//!
//! Working on a payment twice, or in two workers at once, does no harm: the provider charges and refunds a payment
//! once, and settlement ignores a result that it has already. So a payment whose result is not certain is left as it
//! is, for a callback or the next sweep.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use contract::record::{Action, Command, Headers, PaymentOutcome, PaymentResult, RecordType, RefundResult};
use contract::wire;
use deadpool_postgres::Pool;
use parking_lot::Mutex;
use process::kafka::{Message, ProduceError, Producer};
use process::postgres::DatabaseError;
use process::walltime;
use uuid::Uuid;

use super::payment::{Payment, PaymentAction};
use super::provider_client::{CallError, ProviderClient};
use crate::provider::protocol::{ChargeStatus, PaymentView};
use crate::queries::SelectPayment;

process::metrics! {
    static PAYMENTS: Counter["method", "result"] = "payments_total",
        "Card charges and refunds, by result (unknown: no final response).";
    static SECONDS: Histogram["method"] = "payment_seconds",
        "Duration of a charge or refund until its result is in the log, in seconds.";
}

/// The number of tries without a response before a payment is left to the sweep.
const TRIES: u32 = 3;
/// The pause between the first two tries. It doubles after each try.
const PAUSE: Duration = Duration::from_millis(200);
/// The time for which the sweep skips a payment whose result is in the log: settlement may lag.
const PUBLISHED_FOR: Duration = Duration::from_secs(10);

/// The reason why the work on a payment must be retried from the start.
#[derive(Debug, thiserror::Error)]
pub enum PaymentWorkerError {
    /// Postgres is unavailable or rejects a query.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log does not accept the result.
    #[error("the log: {0}")]
    Log(#[from] ProduceError),
}

/// The outcome of the work on a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkOutcome {
    /// There was nothing to do.
    Nothing,
    /// The result is in the log.
    Published,
    /// The result is not certain, so the payment must be checked again.
    Unresolved,
    /// The provider was not called, because its circuit breaker is open.
    CircuitOpen,
}

/// A certain result of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    Decided(PaymentOutcome, Option<String>),
    Refunded,
}

/// Works on payments.
pub struct PaymentWorker {
    pool: Pool,
    provider: ProviderClient,
    producer: Producer,
    topic: String,
    /// The orders that this worker is working on.
    in_progress: Mutex<HashSet<OrderId>>,
    /// When results were appended to the log, by payment and whether it was a refund.
    published: Mutex<HashMap<(Uuid, bool), Instant>>,
}

impl PaymentWorker {
    /// Creates a worker that appends results to the log, the topic `topic`.
    pub fn new(pool: Pool, provider: ProviderClient, producer: Producer, topic: String) -> Self {
        let (in_progress, published) = (Mutex::default(), Mutex::default());
        Self { pool, provider, producer, topic, in_progress, published }
    }

    /// Works on the payment of an order after an event. `tried` says whether the provider may know the payment.
    pub async fn process_order(
        &self,
        order: OrderId,
        tried: bool,
    ) -> Result<WorkOutcome, PaymentWorkerError> {
        let _guard = InProgressGuard::acquire(&self.in_progress, order);
        self.work(order, tried).await
    }

    /// Works on a payment that the sweep has found, which the provider may know. Skips it while it is in progress, or
    /// when its result is in the log and settlement may not have consumed it yet.
    pub async fn recheck(&self, payment: &Payment) -> Result<WorkOutcome, PaymentWorkerError> {
        let Some(_guard) = InProgressGuard::acquire(&self.in_progress, payment.order_id) else {
            return Ok(WorkOutcome::Nothing);
        };
        let key = (payment.payment_id, payment.next_action(true) == PaymentAction::Refund);
        if self.published.lock().get(&key).is_some_and(|at| at.elapsed() < PUBLISHED_FOR) {
            return Ok(WorkOutcome::Nothing);
        }
        self.work(payment.order_id, true).await
    }

    /// Forgets results that settlement has had time to consume.
    pub fn expire_published(&self) {
        self.published.lock().retain(|_, at| at.elapsed() < PUBLISHED_FOR);
    }

    async fn work(&self, order: OrderId, mut tried: bool) -> Result<WorkOutcome, PaymentWorkerError> {
        let (started, mut pause) = (Instant::now(), PAUSE);
        for left in (0..TRIES).rev() {
            // Each try reads the payment again: an order that was cancelled meanwhile is not charged.
            let Some(payment) = self.read(order).await? else { return Ok(WorkOutcome::Nothing) };
            let action = payment.next_action(tried);
            if action == PaymentAction::Nothing {
                return Ok(WorkOutcome::Nothing);
            }
            fault::point!("payments.before_call");
            match self.call_provider(action, &payment).await {
                Ok(Some(fact)) => {
                    fault::point!("payments.before_append");
                    self.publish(&payment, &fact).await?;
                    fault::point!("payments.after_append");
                    record(&fact, started);
                    return Ok(WorkOutcome::Published);
                }
                Ok(None) => return Ok(WorkOutcome::Unresolved),
                Err(CallError::CircuitOpen) => return Ok(WorkOutcome::CircuitOpen),
                Err(error) => {
                    let (order_id, payment_id) = (payment.order_id, payment.payment_id);
                    tracing::warn!(%order_id, %payment_id, ?action, %error, "payment result is unknown");
                    if matches!(error, CallError::Refused { .. }) {
                        break; // the same request gets the same response
                    }
                }
            }
            tried = true;
            if left > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        PAYMENTS.with(["card", "unknown"]).increment(1);
        Ok(WorkOutcome::Unresolved)
    }

    async fn read(&self, order: OrderId) -> Result<Option<Payment>, DatabaseError> {
        let client = self.pool.get().await?;
        SelectPayment { order_id: order }.fetch(&client).await?.map(Payment::from_row).transpose()
    }

    /// Performs an action at the provider. Returns the result if it is certain.
    async fn call_provider(
        &self,
        action: PaymentAction,
        payment: &Payment,
    ) -> Result<Option<Fact>, CallError> {
        let provider = &self.provider;
        let view = match action {
            PaymentAction::Nothing => return Ok(None),
            PaymentAction::Refund => return provider.refund(payment).await.map(|_| Some(Fact::Refunded)),
            PaymentAction::Charge => self.charge(payment).await?,
            PaymentAction::Query if fault::removed!("payment_key") => {
                self.charge(&Payment { payment_id: Uuid::now_v7(), ..payment.clone() }).await?
            }
            PaymentAction::Query => match provider.get_payment(payment.payment_id).await {
                Err(unknown) if unknown.is_unknown_payment() => self.charge(payment).await?,
                result => result?,
            },
            PaymentAction::Void => provider.void(payment).await?,
        };
        Ok(certain_fact(payment, view))
    }

    /// Charges a payment. If the provider refuses the request, it may know the payment from an earlier one, which was not
    /// the same: for example with the callback URL of a former deployment. Only a payment that it does not know is voided,
    /// so that it never captures any money.
    async fn charge(&self, payment: &Payment) -> Result<PaymentView, CallError> {
        let (status, code) = match self.provider.charge(payment).await {
            Err(CallError::Refused { status, code }) => (status, code),
            result => return result,
        };
        let payment_id = payment.payment_id;
        match self.provider.get_payment(payment_id).await {
            Err(unknown) if unknown.is_unknown_payment() => {
                tracing::error!(%payment_id, status, code, "provider refused a charge, voiding the payment");
                self.provider.void(payment).await
            }
            known => known,
        }
    }

    /// Appends a result to the log, behind everything that was appended about the order before.
    async fn publish(&self, payment: &Payment, fact: &Fact) -> Result<(), ProduceError> {
        let Payment { payment_id, amount, currency, .. } = *payment;
        let action = match fact.clone() {
            Fact::Decided(result, reason) => {
                Action::PaymentResult(PaymentResult { payment_id, result, amount, currency, reason })
            }
            Fact::Refunded => Action::RefundResult(RefundResult { payment_id, amount, currency }),
        };
        let command = Command {
            sale_id: payment.sale_id.clone(),
            order_id: payment.order_id,
            customer_id: None,
            at: walltime::now(),
            action,
        };
        let value = wire::encode(&command);
        let headers = Headers::without_epoch(RecordType::Command).encode();
        let message = Message {
            topic: &self.topic,
            partition: Some(payment.partition),
            key: payment.sale_id.as_str(),
            value: Some(&value),
            headers: &headers,
        };
        self.producer.send(&message)?.await?;
        self.published.lock().insert((payment_id, *fact == Fact::Refunded), Instant::now());
        Ok(())
    }
}

/// Returns the result that a response makes certain.
fn certain_fact(payment: &Payment, view: PaymentView) -> Option<Fact> {
    if (view.order_id, view.amount, view.currency) != (payment.order_id, payment.amount, payment.currency) {
        tracing::error!(payment_id = %payment.payment_id, "provider responded with another payment");
        return None;
    }
    match view.status {
        ChargeStatus::Pending => None,
        ChargeStatus::Succeeded => Some(Fact::Decided(PaymentOutcome::Succeeded, None)),
        ChargeStatus::Failed => Some(Fact::Decided(PaymentOutcome::Failed, view.reason)),
    }
}

fn record(fact: &Fact, started: Instant) {
    let result = match fact {
        Fact::Decided(outcome, _) => outcome.as_str(),
        Fact::Refunded => "refunded",
    };
    PAYMENTS.with(["card", result]).increment(1);
    SECONDS.with(["card"]).record(started.elapsed());
}

/// Marks an order as in progress until it is dropped.
struct InProgressGuard<'a> {
    orders: &'a Mutex<HashSet<OrderId>>,
    order: OrderId,
}

impl<'a> InProgressGuard<'a> {
    /// Returns `None` if the order is in progress already.
    fn acquire(orders: &'a Mutex<HashSet<OrderId>>, order: OrderId) -> Option<Self> {
        let is_new = orders.lock().insert(order);
        is_new.then(|| Self { orders, order }) // created only then: dropping a guard releases the order
    }
}

impl Drop for InProgressGuard<'_> {
    fn drop(&mut self) {
        self.orders.lock().remove(&self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_in_progress_once_at_a_time() {
        let (orders, order) = (Mutex::default(), OrderId(Uuid::nil()));
        let first = InProgressGuard::acquire(&orders, order);
        assert!(first.is_some());
        assert!(InProgressGuard::acquire(&orders, order).is_none());
        assert!(InProgressGuard::acquire(&orders, order).is_none(), "the second has not released the first");
        drop(first);
        assert!(InProgressGuard::acquire(&orders, order).is_some());
    }
}

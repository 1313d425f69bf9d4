//! What is done about one payment: read it, do what is due, and write what is now certain into the log.
//!
//! Doing it twice, or at two desks at once, does no harm: the provider takes and returns the money of a
//! payment once, and settlement leaves alone what it knows already. So what is not certain is simply left as
//! it is, for a callback or the next sweep.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use contract::record::{Action, Command, Headers, PaymentOutcome, PaymentResult, RecordType, RefundResult};
use deadpool_postgres::Pool;
use metrics::{counter, histogram};
use process::kafka::{Message, ProduceError, Producer};
use process::postgres::DatabaseError;
use process::walltime;
use uuid::Uuid;

use super::payment::{Payment, PaymentAction};
use super::provider_client::{CallError, ProviderClient};
use crate::provider::ledger::{ChargeStatus, PaymentView};

/// Tries without an answer, one after another, before a payment is left to the sweep.
const TRIES: u32 = 3;
/// Between the first two; doubled afterwards.
const PAUSE: Duration = Duration::from_millis(200);
/// What was written into the log is not looked after again for so long: settlement may be behind.
const TOLD_FOR: Duration = Duration::from_secs(10);
const SELECT_PAYMENT: &str = include_str!("../../queries/select_payment.sql");

/// Why something is to be tried again from the start.
#[derive(Debug, thiserror::Error)]
pub enum PaymentWorkerError {
    /// Postgres.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log.
    #[error("the log: {0}")]
    Log(#[from] ProduceError),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkOutcome {
    /// There was nothing to do.
    Nothing,
    /// The log has what became of it.
    Published,
    /// Not certain; somebody has to look again.
    Unresolved,
    /// The provider is not asked at present.
    CircuitOpen,
}

/// What is certain about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fact {
    Decided(PaymentOutcome, Option<String>),
    Refunded,
}

/// Where payments are worked on.
pub struct PaymentWorker {
    pool: Pool,
    provider: ProviderClient,
    producer: Producer,
    topic: String,
    /// Orders that are being worked on here.
    busy: Mutex<HashSet<OrderId>>,
    /// What the log was told lately, by payment; and whether it was of a refund.
    told: Mutex<HashMap<(Uuid, bool), Instant>>,
}

impl PaymentWorker {
    /// `topic`: the log.
    pub fn new(pool: Pool, provider: ProviderClient, producer: Producer, topic: String) -> Self {
        Self { pool, provider, producer, topic, busy: Mutex::default(), told: Mutex::default() }
    }

    /// An event says that there is something to do about an order's payment. `tried`: the provider may know
    /// it.
    pub async fn process_order(
        &self,
        order: OrderId,
        tried: bool,
    ) -> Result<WorkOutcome, PaymentWorkerError> {
        let _busy = InProgressGuard::begin(&self.busy, order);
        self.work(order, tried).await
    }

    /// As the sweep found it: the provider may know it already. Left alone while it is worked on, or when
    /// settlement has yet to read what was written.
    pub async fn recheck(&self, payment: &Payment) -> Result<WorkOutcome, PaymentWorkerError> {
        let Some(_busy) = InProgressGuard::begin(&self.busy, payment.order_id) else {
            return Ok(WorkOutcome::Nothing);
        };
        let refund = payment.step(true) == PaymentAction::Refund;
        if lock(&self.told).get(&(payment.payment_id, refund)).is_some_and(|at| at.elapsed() < TOLD_FOR) {
            return Ok(WorkOutcome::Nothing);
        }
        self.work(payment.order_id, true).await
    }

    /// Forgets what settlement has had time to read.
    pub fn expire_published(&self) {
        lock(&self.told).retain(|_, at| at.elapsed() < TOLD_FOR);
    }

    async fn work(&self, order: OrderId, mut tried: bool) -> Result<WorkOutcome, PaymentWorkerError> {
        let (begun, mut pause) = (Instant::now(), PAUSE);
        for left in (0..TRIES).rev() {
            // Read anew each time: an order that was cancelled meanwhile is not charged.
            let Some(payment) = self.read(order).await? else { return Ok(WorkOutcome::Nothing) };
            let step = payment.step(tried);
            if step == PaymentAction::Nothing {
                return Ok(WorkOutcome::Nothing);
            }
            fault::point!("payments.before_call");
            match self.take(step, &payment).await {
                Ok(Some(fact)) => {
                    fault::point!("payments.before_append");
                    self.tell(&payment, &fact).await?;
                    fault::point!("payments.after_append");
                    count(&fact, begun);
                    return Ok(WorkOutcome::Published);
                }
                Ok(None) => return Ok(WorkOutcome::Unresolved),
                Err(CallError::CircuitOpen) => return Ok(WorkOutcome::CircuitOpen),
                Err(error) => {
                    let (order_id, payment_id) = (payment.order_id, payment.payment_id);
                    tracing::warn!(%order_id, %payment_id, ?step, %error, "the outcome is not known");
                    if matches!(error, CallError::Refused { .. }) {
                        break; // the same question gets the same answer
                    }
                }
            }
            tried = true;
            if left > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        counter!("payments_total", "method" => "card", "result" => "unknown").increment(1);
        Ok(WorkOutcome::Unresolved)
    }

    async fn read(&self, order: OrderId) -> Result<Option<Payment>, DatabaseError> {
        let client = self.pool.get().await?;
        let select = client.prepare_cached(SELECT_PAYMENT).await?;
        client.query_opt(&select, &[&order.0]).await?.as_ref().map(Payment::from_row).transpose()
    }

    /// One step at the provider: what is certain afterwards, if anything.
    async fn take(&self, step: PaymentAction, payment: &Payment) -> Result<Option<Fact>, CallError> {
        let provider = &self.provider;
        let view = match step {
            PaymentAction::Nothing => return Ok(None),
            PaymentAction::Refund => return provider.refund(payment).await.map(|_| Some(Fact::Refunded)),
            PaymentAction::Charge => self.charge(payment).await?,
            PaymentAction::Query if fault::removed!("payment_key") => {
                self.charge(&Payment { payment_id: Uuid::now_v7(), ..payment.clone() }).await?
            }
            PaymentAction::Query => match provider.get_payment(payment.payment_id).await {
                Err(unknown) if unknown.is_unknown_payment() => self.charge(payment).await?,
                answer => answer?,
            },
            PaymentAction::Void => provider.void(payment).await?,
        };
        Ok(fact(payment, view))
    }

    /// A request that the provider refuses takes no money now; that it never will is made certain.
    async fn charge(&self, payment: &Payment) -> Result<PaymentView, CallError> {
        match self.provider.charge(payment).await {
            Err(CallError::Refused { status, code }) => {
                let payment_id = payment.payment_id;
                tracing::error!(%payment_id, status, code, "the provider refused to try a payment");
                self.provider.void(payment).await
            }
            answer => answer,
        }
    }

    /// Writes it into the log, behind everything that was written about the order before.
    async fn tell(&self, payment: &Payment, fact: &Fact) -> Result<(), ProduceError> {
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
        let value = serde_json::to_vec(&command).unwrap_or_default(); // names and numbers always serialize
        let headers = Headers::without_epoch(RecordType::Command).encode();
        let message = Message {
            topic: &self.topic,
            partition: Some(payment.partition),
            key: payment.sale_id.as_str(),
            value: Some(&value),
            headers: &headers,
        };
        self.producer.send(&message)?.await?;
        lock(&self.told).insert((payment_id, *fact == Fact::Refunded), Instant::now());
        Ok(())
    }
}

/// What an answer makes certain.
fn fact(payment: &Payment, view: PaymentView) -> Option<Fact> {
    if (view.order_id, view.amount, view.currency) != (payment.order_id, payment.amount, payment.currency) {
        tracing::error!(payment_id = %payment.payment_id, "the provider speaks of another payment");
        return None;
    }
    match view.status {
        ChargeStatus::Pending => None,
        ChargeStatus::Succeeded => Some(Fact::Decided(PaymentOutcome::Succeeded, None)),
        ChargeStatus::Failed => Some(Fact::Decided(PaymentOutcome::Failed, view.reason)),
    }
}

fn count(fact: &Fact, begun: Instant) {
    let result = match fact {
        Fact::Decided(outcome, _) => outcome.as_str(),
        Fact::Refunded => "refunded",
    };
    counter!("payments_total", "method" => "card", "result" => result).increment(1);
    histogram!("payment_seconds", "method" => "card").record(begun.elapsed());
}

/// An order is being worked on for as long as this lives.
struct InProgressGuard<'a> {
    orders: &'a Mutex<HashSet<OrderId>>,
    order: OrderId,
}

impl<'a> InProgressGuard<'a> {
    /// `None`: it is worked on already.
    fn begin(orders: &'a Mutex<HashSet<OrderId>>, order: OrderId) -> Option<Self> {
        let begins = lock(orders).insert(order);
        begins.then(|| Self { orders, order }) // made only then: dropping one ends the work
    }
}

impl Drop for InProgressGuard<'_> {
    fn drop(&mut self) {
        lock(self.orders).remove(&self.order);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // each use is one insert, read or removal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_worked_on_once_at_a_time() {
        let (orders, order) = (Mutex::default(), OrderId(Uuid::nil()));
        let first = InProgressGuard::begin(&orders, order);
        assert!(first.is_some());
        assert!(InProgressGuard::begin(&orders, order).is_none());
        assert!(InProgressGuard::begin(&orders, order).is_none(), "the second has not ended the first");
        drop(first);
        assert!(InProgressGuard::begin(&orders, order).is_some());
    }
}

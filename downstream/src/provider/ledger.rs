//! The provider's ledger: its payments, and the decisions about them, without I/O and without a clock. Every change is
//! a [`LedgerEvent`], which is applied in the same way when it happens and when the journal is replayed at a restart.

use std::collections::{BTreeMap, HashMap};

use contract::ids::SaleId;
use contract::record::PaymentOutcome;
use contract::timestamp::Timestamp;
use contract::webhook::PaymentCallback;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::protocol::{Charge, ChargeStatus, LedgerEntry, PaymentView, RefundView};
use super::test_cards::CardBehaviour;

/// A change of the ledger, as the journal stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LedgerEvent {
    /// A payment is created. Without a key, it was cancelled before its charge arrived.
    Charged {
        /// The time of the change.
        at: Timestamp,
        /// The Idempotency-Key of the charge.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The requested charge.
        charge: Charge,
        /// The status at the time of the request.
        status: ChargeStatus,
        /// The reason of a failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A pending payment is decided.
    Decided {
        /// The time of the change.
        at: Timestamp,
        /// The id of the payment.
        payment_id: Uuid,
        /// The final status.
        status: ChargeStatus,
        /// The reason of a failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A payment is refunded, in whole or in part.
    Refunded {
        /// The time of the change.
        at: Timestamp,
        /// The id of the payment.
        payment_id: Uuid,
        /// The id of the refund.
        refund_id: Uuid,
        /// The Idempotency-Key of the refund.
        key: String,
        /// The amount in the currency's minor unit.
        amount: u64,
    },
    /// A callback needs no further attempt: the merchant has accepted it, or the provider has given up.
    CallbackClosed {
        /// The id of the callback.
        callback_id: String,
    },
}

/// A payment in the ledger.
#[derive(Debug, Clone)]
struct PaymentRecord {
    charge: Charge,
    key: Option<String>,
    /// The status in the first response, which a repeated request gets again.
    first: ChargeStatus,
    status: ChargeStatus,
    reason: Option<String>,
    decided_at: Timestamp,
    refunded: u64,
    callbacks: u32,
}

/// A callback that the merchant has not accepted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The message id, which is the same in every attempt.
    pub id: String,
    /// The merchant's URL.
    pub url: String,
    /// The body of the request.
    pub body: PaymentCallback,
    /// The earliest time of the first attempt.
    pub due: Timestamp,
}

/// A task that is due at a later time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduledTask {
    /// Send a callback to the merchant.
    Callback(Callback),
    /// Decide a pending payment.
    Decision {
        /// The id of the payment.
        payment_id: Uuid,
        /// The time of the decision.
        due: Timestamp,
    },
}

/// The reason why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key was used with another body.
    #[error("this Idempotency-Key belongs to another request")]
    KeyReused,
    /// The payment was created with another key.
    #[error("this payment was created with another Idempotency-Key")]
    PaymentExists,
    /// The payment does not exist.
    #[error("this payment does not exist")]
    UnknownPayment,
    /// No money was captured, so none can be refunded.
    #[error("this payment was not captured")]
    NotCaptured,
    /// The refund exceeds the amount that is left.
    #[error("the amount exceeds what is left of this payment")]
    AmountTooLarge,
}

/// The payments of the provider.
pub struct Ledger {
    /// The delay of late decisions and callbacks, in milliseconds.
    late_ms: u64,
    payments: HashMap<Uuid, PaymentRecord>,
    /// The payments in the order of their arrival, which is the order of pages.
    arrivals: Vec<Uuid>,
    keys: HashMap<String, Uuid>,
    refunds: HashMap<String, (RefundView, u64)>,
    open_callbacks: BTreeMap<String, Callback>,
}

impl Ledger {
    /// Creates an empty ledger.
    pub fn new(late_ms: u64) -> Self {
        Self {
            late_ms,
            payments: HashMap::new(),
            arrivals: Vec::new(),
            keys: HashMap::new(),
            refunds: HashMap::new(),
            open_callbacks: BTreeMap::new(),
        }
    }

    /// Decides a charge. Returns the event to apply, or `None` if the request is a repeat.
    pub fn charge(&self, key: &str, charge: &Charge, at: Timestamp) -> Result<Option<LedgerEvent>, Refusal> {
        if let Some(known) = self.keys.get(key) {
            let same = self.payments.get(known).is_some_and(|payment| payment.charge == *charge);
            return if same { Ok(None) } else { Err(Refusal::KeyReused) };
        }
        match self.payments.get(&charge.payment_id) {
            // The payment was cancelled before its charge arrived, and stays cancelled.
            Some(payment) if payment.key.is_none() && payment.charge.has_same_terms(charge) => Ok(None),
            Some(_) => Err(Refusal::PaymentExists),
            None => {
                let (status, reason) = CardBehaviour::for_token(charge.token.as_deref()).immediate_status();
                let (key, reason) = (Some(key.into()), reason.map(str::to_string));
                Ok(Some(LedgerEvent::Charged { at, key, charge: charge.clone(), status, reason }))
            }
        }
    }

    /// Decides a cancellation, after which an undecided payment never captures any money, even if its charge is still
    /// in flight. Returns the event to apply, or `None` if the payment is decided.
    pub fn cancel(&self, charge: &Charge, at: Timestamp) -> Result<Option<LedgerEvent>, Refusal> {
        let (status, reason) = (ChargeStatus::Failed, Some("cancelled".to_string()));
        match self.payments.get(&charge.payment_id) {
            None => Ok(Some(LedgerEvent::Charged { at, key: None, charge: charge.clone(), status, reason })),
            Some(payment) if !payment.charge.has_same_terms(charge) => Err(Refusal::PaymentExists),
            Some(payment) if payment.status == ChargeStatus::Pending => {
                Ok(Some(LedgerEvent::Decided { at, payment_id: charge.payment_id, status, reason }))
            }
            Some(_) => Ok(None),
        }
    }

    /// Decides a pending payment whose time has come. Returns `None` if it is decided already.
    pub fn decide(&self, payment_id: Uuid, at: Timestamp) -> Option<LedgerEvent> {
        let pending = self.payments.get(&payment_id).is_some_and(|p| p.status == ChargeStatus::Pending);
        let status = ChargeStatus::Succeeded;
        pending.then_some(LedgerEvent::Decided { at, payment_id, status, reason: None })
    }

    /// Decides a refund. Returns the event to apply, or `None` if the request is a repeat.
    pub fn refund(
        &self,
        payment_id: Uuid,
        key: &str,
        amount: u64,
        refund_id: Uuid,
        at: Timestamp,
    ) -> Result<Option<LedgerEvent>, Refusal> {
        if let Some((known, requested)) = self.refunds.get(key) {
            let same = known.payment_id == payment_id && *requested == amount;
            return if same { Ok(None) } else { Err(Refusal::KeyReused) };
        }
        let payment = self.payments.get(&payment_id).ok_or(Refusal::UnknownPayment)?;
        if payment.status != ChargeStatus::Succeeded {
            return Err(Refusal::NotCaptured);
        }
        if amount > payment.charge.amount - payment.refunded {
            return Err(Refusal::AmountTooLarge);
        }
        Ok(Some(LedgerEvent::Refunded { at, payment_id, refund_id, key: key.into(), amount }))
    }

    /// Applies a change. Returns the tasks that follow from it.
    pub fn apply(&mut self, event: &LedgerEvent) -> Vec<ScheduledTask> {
        match event {
            LedgerEvent::Charged { at, key, charge, status, reason } => {
                let payment_id = charge.payment_id;
                if let Some(key) = key {
                    self.keys.insert(key.clone(), payment_id);
                }
                self.arrivals.push(payment_id);
                self.payments.insert(
                    payment_id,
                    PaymentRecord {
                        charge: charge.clone(),
                        key: key.clone(),
                        first: *status,
                        status: *status,
                        reason: reason.clone(),
                        decided_at: *at,
                        refunded: 0,
                        callbacks: 0,
                    },
                );
                match status {
                    ChargeStatus::Pending => {
                        vec![ScheduledTask::Decision { payment_id, due: self.decision_time(*at) }]
                    }
                    _ => self.create_callbacks(payment_id),
                }
            }
            LedgerEvent::Decided { at, payment_id, status, reason } => {
                let Some(payment) = self.payments.get_mut(payment_id) else { return vec![] };
                (payment.status, payment.reason, payment.decided_at) = (*status, reason.clone(), *at);
                self.create_callbacks(*payment_id)
            }
            LedgerEvent::Refunded { payment_id, refund_id, key, amount, .. } => {
                let Some(payment) = self.payments.get_mut(payment_id) else { return vec![] };
                payment.refunded += amount;
                let view = RefundView {
                    refund_id: *refund_id,
                    payment_id: *payment_id,
                    amount: *amount,
                    currency: payment.charge.currency,
                };
                self.refunds.insert(key.clone(), (view, *amount));
                vec![]
            }
            LedgerEvent::CallbackClosed { callback_id } => {
                self.open_callbacks.remove(callback_id);
                vec![]
            }
        }
    }

    fn decision_time(&self, at: Timestamp) -> Timestamp {
        Timestamp(at.0 + self.late_ms)
    }

    /// Creates the callbacks about a decided payment.
    fn create_callbacks(&mut self, payment_id: Uuid) -> Vec<ScheduledTask> {
        let late_ms = self.late_ms;
        let Some(payment) = self.payments.get_mut(&payment_id) else { return vec![] };
        let Some(url) = payment.charge.callback_url.clone() else { return vec![] };
        let actual = match payment.status {
            ChargeStatus::Succeeded => PaymentOutcome::Succeeded,
            _ => PaymentOutcome::Failed,
        };
        let mut callbacks = Vec::new();
        for (result, late) in CardBehaviour::for_token(payment.charge.token.as_deref()).callbacks(actual) {
            let callback = Callback {
                id: format!("msg_{}_{}", payment_id.simple(), payment.callbacks),
                url: url.clone(),
                body: PaymentCallback {
                    payment_id,
                    order_id: payment.charge.order_id,
                    sale_id: payment.charge.sale_id.clone(),
                    result,
                    amount: payment.charge.amount,
                    currency: payment.charge.currency,
                    reason: payment.reason.clone().filter(|_| result == PaymentOutcome::Failed),
                },
                due: Timestamp(payment.decided_at.0 + if late { late_ms } else { 0 }),
            };
            payment.callbacks += 1;
            self.open_callbacks.insert(callback.id.clone(), callback.clone());
            callbacks.push(ScheduledTask::Callback(callback));
        }
        callbacks
    }

    /// Returns the tasks that are not finished, which the provider resumes after a restart.
    pub fn unfinished_tasks(&self) -> Vec<ScheduledTask> {
        let pending = self.payments.values().filter(|payment| payment.status == ChargeStatus::Pending);
        let decisions = pending.map(|payment| ScheduledTask::Decision {
            payment_id: payment.charge.payment_id,
            due: self.decision_time(payment.decided_at),
        });
        decisions.chain(self.open_callbacks.values().cloned().map(ScheduledTask::Callback)).collect()
    }

    /// Returns a payment in its present state.
    pub fn payment(&self, payment_id: Uuid) -> Option<PaymentView> {
        self.payments.get(&payment_id).map(|payment| payment.view(payment.status))
    }

    /// Returns a payment as the first response to its charge reported it.
    pub fn first_response(&self, payment_id: Uuid) -> Option<PaymentView> {
        self.payments.get(&payment_id).map(|payment| payment.view(payment.first))
    }

    /// Returns the refund that was requested with this key.
    pub fn refund_for_key(&self, key: &str) -> Option<RefundView> {
        self.refunds.get(key).map(|(view, _)| view.clone())
    }

    /// Returns a page of the ledger: payments from the position `after` on, in the order of their arrival, and the
    /// position of the next page.
    pub fn page(&self, sale: Option<&SaleId>, after: usize, max: usize) -> (Vec<LedgerEntry>, Option<usize>) {
        let mut entries = Vec::new();
        for (position, payment) in self.arrivals.iter().enumerate().skip(after) {
            if entries.len() == max {
                return (entries, Some(position));
            }
            let Some(payment) = self.payments.get(payment) else { continue };
            if sale.is_none_or(|sale| *sale == payment.charge.sale_id) {
                entries.push(payment.ledger_entry());
            }
        }
        (entries, None)
    }
}

impl PaymentRecord {
    fn view(&self, status: ChargeStatus) -> PaymentView {
        PaymentView {
            payment_id: self.charge.payment_id,
            order_id: self.charge.order_id,
            sale_id: self.charge.sale_id.clone(),
            status,
            amount: self.charge.amount,
            refunded_amount: self.refunded,
            currency: self.charge.currency,
            reason: self.reason.clone().filter(|_| status == ChargeStatus::Failed),
        }
    }

    fn ledger_entry(&self) -> LedgerEntry {
        LedgerEntry {
            payment_id: self.charge.payment_id,
            order_id: self.charge.order_id,
            sale_id: self.charge.sale_id.clone(),
            captured: if self.status == ChargeStatus::Succeeded { self.charge.amount } else { 0 },
            refunded: self.refunded,
            currency: self.charge.currency,
        }
    }
}

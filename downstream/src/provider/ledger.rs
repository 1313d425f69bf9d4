//! What the provider knows, and what it decides from that alone: no I/O, no clock. Every change is an
//! [`LedgerEvent`], applied the same way when it happens and when the journal is read again after a restart.

use std::collections::{BTreeMap, HashMap};

use contract::ids::{OrderId, SaleId};
use contract::money::Currency;
use contract::record::PaymentOutcome;
use contract::timestamp::Timestamp;
use contract::webhook::PaymentCallback;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::test_cards::CardBehaviour;

/// A request to take money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the names say it
pub struct Charge {
    pub payment_id: Uuid,
    pub order_id: OrderId,
    pub sale_id: SaleId,
    /// In the minor unit.
    pub amount: u64,
    pub currency: Currency,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeStatus {
    /// Not decided yet.
    Pending,
    /// The money was taken.
    Succeeded,
    /// It was not, and will not be.
    Failed,
}

/// A change, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LedgerEvent {
    /// A payment is known from now on. Without a key: it was given up before it was asked for.
    Charged {
        /// When.
        at: Timestamp,
        /// Its Idempotency-Key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// What was asked for.
        charge: Charge,
        /// What was decided at once.
        status: ChargeStatus,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A pending payment is decided.
    Decided {
        /// When.
        at: Timestamp,
        /// Which.
        payment_id: Uuid,
        /// How.
        status: ChargeStatus,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Money went back.
    Refunded {
        /// When.
        at: Timestamp,
        /// Of which payment.
        payment_id: Uuid,
        /// Its own id.
        refund_id: Uuid,
        /// Its Idempotency-Key.
        key: String,
        /// How much.
        amount: u64,
    },
    /// A callback needs no further try: it was taken, or given up.
    CallbackClosed {
        /// Which.
        callback_id: String,
    },
}

/// One payment.
#[derive(Debug, Clone)]
struct PaymentRecord {
    charge: Charge,
    key: Option<String>,
    /// What the first answer said: a repeat of the request gets it again.
    first: ChargeStatus,
    status: ChargeStatus,
    reason: Option<String>,
    decided_at: Timestamp,
    refunded: u64,
    callbacks: u32,
}

/// A payment, as answers show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PaymentView {
    pub payment_id: Uuid,
    pub order_id: OrderId,
    pub sale_id: SaleId,
    pub status: ChargeStatus,
    pub amount: u64,
    pub refunded_amount: u64,
    pub currency: Currency,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A refund, as answers show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RefundView {
    pub refund_id: Uuid,
    pub payment_id: Uuid,
    pub amount: u64,
    pub currency: Currency,
}

/// A payment in the ledger: what the provider has of the customer's money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LedgerEntry {
    pub payment_id: Uuid,
    pub order_id: OrderId,
    pub sale_id: SaleId,
    pub captured: u64,
    pub refunded: u64,
    pub currency: Currency,
}

/// A callback that has not been taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The same at every try.
    pub id: String,
    /// To where.
    pub url: String,
    /// What it tells.
    pub body: PaymentCallback,
    /// Not before.
    pub due: Timestamp,
}

/// Work that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduledTask {
    /// Tell the merchant.
    Callback(Callback),
    /// Decide a pending payment.
    Decision {
        /// Which.
        payment_id: Uuid,
        /// When.
        due: Timestamp,
    },
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The same key with another body.
    #[error("this Idempotency-Key belongs to another request")]
    KeyReused,
    /// The same payment under another key.
    #[error("this payment is known under another Idempotency-Key")]
    PaymentExists,
    /// No such payment.
    #[error("there is no such payment")]
    UnknownPayment,
    /// There is nothing to give back.
    #[error("this payment was not captured")]
    NotCaptured,
    /// More than was taken.
    #[error("more than what is left of this payment")]
    AmountTooLarge,
}

/// Everything the provider knows.
pub struct Ledger {
    /// What lies between an event and what comes late after it, in milliseconds.
    late_ms: u64,
    payments: HashMap<Uuid, PaymentRecord>,
    /// In the order of their arrival: the ledger's pages.
    arrivals: Vec<Uuid>,
    keys: HashMap<String, Uuid>,
    refunds: HashMap<String, (RefundView, u64)>,
    open: BTreeMap<String, Callback>,
}

impl Ledger {
    /// An empty one.
    pub fn new(late_ms: u64) -> Self {
        Self {
            late_ms,
            payments: HashMap::new(),
            arrivals: Vec::new(),
            keys: HashMap::new(),
            refunds: HashMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// What is to be answered to a charge, and the event that makes it so.
    pub fn charge(&self, key: &str, charge: &Charge, at: Timestamp) -> Result<Option<LedgerEvent>, Refusal> {
        if let Some(known) = self.keys.get(key) {
            let same = self.payments.get(known).is_some_and(|payment| payment.charge == *charge);
            return if same { Ok(None) } else { Err(Refusal::KeyReused) };
        }
        match self.payments.get(&charge.payment_id) {
            // Given up before it came: it stays so.
            Some(payment) if payment.key.is_none() && payment.charge.has_same_terms(charge) => Ok(None),
            Some(_) => Err(Refusal::PaymentExists),
            None => {
                let (status, reason) = CardBehaviour::for_token(charge.token.as_deref()).at_once();
                let reason = reason.map(str::to_string);
                Ok(Some(LedgerEvent::Charged {
                    at,
                    key: Some(key.into()),
                    charge: charge.clone(),
                    status,
                    reason,
                }))
            }
        }
    }

    /// The event that makes sure that a payment that is not decided never takes any money, also when its
    /// request is still on the way; none where it is decided.
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

    /// The event that decides a payment that was pending for its time; none where it is decided already.
    pub fn decide(&self, payment_id: Uuid, at: Timestamp) -> Option<LedgerEvent> {
        let pending = self.payments.get(&payment_id).is_some_and(|p| p.status == ChargeStatus::Pending);
        pending.then_some(LedgerEvent::Decided {
            at,
            payment_id,
            status: ChargeStatus::Succeeded,
            reason: None,
        })
    }

    /// The event that gives money back; none where this key has done so.
    pub fn refund(
        &self,
        payment_id: Uuid,
        key: &str,
        amount: u64,
        refund_id: Uuid,
        at: Timestamp,
    ) -> Result<Option<LedgerEvent>, Refusal> {
        if let Some((known, asked)) = self.refunds.get(key) {
            let same = known.payment_id == payment_id && *asked == amount;
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

    /// Makes it so. Returns what is due because of it.
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
                        vec![ScheduledTask::Decision { payment_id, due: self.later(*at) }]
                    }
                    _ => self.tell(payment_id),
                }
            }
            LedgerEvent::Decided { at, payment_id, status, reason } => {
                let Some(payment) = self.payments.get_mut(payment_id) else { return vec![] };
                (payment.status, payment.reason, payment.decided_at) = (*status, reason.clone(), *at);
                self.tell(*payment_id)
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
                self.open.remove(callback_id);
                vec![]
            }
        }
    }

    fn later(&self, at: Timestamp) -> Timestamp {
        Timestamp(at.0 + self.late_ms)
    }

    /// The callbacks about a decided payment.
    fn tell(&mut self, payment_id: Uuid) -> Vec<ScheduledTask> {
        let late_ms = self.late_ms;
        let Some(payment) = self.payments.get_mut(&payment_id) else { return vec![] };
        let Some(url) = payment.charge.callback_url.clone() else { return vec![] };
        let truth = match payment.status {
            ChargeStatus::Succeeded => PaymentOutcome::Succeeded,
            _ => PaymentOutcome::Failed,
        };
        let mut callbacks = Vec::new();
        for (result, late) in CardBehaviour::for_token(payment.charge.token.as_deref()).callbacks(truth) {
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
            self.open.insert(callback.id.clone(), callback.clone());
            callbacks.push(ScheduledTask::Callback(callback));
        }
        callbacks
    }

    /// What was due when the journal ended: after a restart.
    pub fn unfinished(&self) -> Vec<ScheduledTask> {
        let pending = self.payments.values().filter(|payment| payment.status == ChargeStatus::Pending);
        let decisions = pending.map(|payment| ScheduledTask::Decision {
            payment_id: payment.charge.payment_id,
            due: self.later(payment.decided_at),
        });
        decisions.chain(self.open.values().cloned().map(ScheduledTask::Callback)).collect()
    }

    /// A payment as it stands.
    pub fn payment(&self, payment_id: Uuid) -> Option<PaymentView> {
        self.payments.get(&payment_id).map(|payment| payment.view(payment.status))
    }

    /// A payment as its request was first answered.
    pub fn first_response(&self, payment_id: Uuid) -> Option<PaymentView> {
        self.payments.get(&payment_id).map(|payment| payment.view(payment.first))
    }

    /// The refund of a key.
    pub fn refund_for_key(&self, key: &str) -> Option<RefundView> {
        self.refunds.get(key).map(|(view, _)| view.clone())
    }

    /// A page of the ledger: payments from the `after`-th on, in the order of their arrival, and where the
    /// next page begins.
    pub fn ledger(
        &self,
        sale: Option<&SaleId>,
        after: usize,
        max: usize,
    ) -> (Vec<LedgerEntry>, Option<usize>) {
        let mut entries = Vec::new();
        for (at, payment) in self.arrivals.iter().enumerate().skip(after) {
            if entries.len() == max {
                return (entries, Some(at));
            }
            let Some(payment) = self.payments.get(payment) else { continue };
            if sale.is_none_or(|sale| *sale == payment.charge.sale_id) {
                entries.push(payment.ledger_entry());
            }
        }
        (entries, None)
    }
}

impl Charge {
    fn has_same_terms(&self, other: &Self) -> bool {
        (self.order_id, &self.sale_id, self.amount, self.currency)
            == (other.order_id, &other.sale_id, other.amount, other.currency)
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

//! The provider's service: each call decides with the ledger, appends to the journal, waits for the disk, and starts
//! the tasks that follow.

use std::path::Path;
use std::sync::Arc;

use contract::ids::SaleId;
use contract::timestamp::Timestamp;
use parking_lot::Mutex;
use process::walltime;
use uuid::Uuid;

use super::callbacks::CallbackSender;
use super::journal::{Journal, JournalError, JournalPosition};
use super::ledger::{Ledger, LedgerEvent, Refusal, ScheduledTask};
use super::protocol::{Charge, LedgerEntry, PaymentView, RefundView};
use super::test_cards::CardBehaviour;

/// The provider. Clones share its state.
#[derive(Clone)]
pub struct Provider {
    state: Arc<Mutex<ProviderState>>,
    callbacks: CallbackSender,
}

struct ProviderState {
    ledger: Ledger,
    journal: Journal,
}

/// The outcome of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The client gets a response.
    Response {
        /// The payment as the first response reported it.
        view: PaymentView,
        /// Whether this request has created the payment.
        created: bool,
    },
    /// The client gets no response at all.
    NoResponse,
}

/// The reason why a call fails.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider refuses the request.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal cannot store the event.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Provider {
    /// Replays the journal and resumes the unfinished tasks.
    pub fn open(journal: &Path, late_ms: u64, callbacks: CallbackSender) -> Result<Self, JournalError> {
        let mut ledger = Ledger::new(late_ms);
        let journal = Journal::open(journal, |event| drop(ledger.apply(&event)))?;
        let unfinished = ledger.unfinished_tasks();
        let this = Self { state: Arc::new(Mutex::new(ProviderState { ledger, journal })), callbacks };
        this.start_tasks(unfinished);
        Ok(this)
    }

    /// Charges a card as its token says.
    pub async fn charge(&self, key: &str, charge: Charge) -> Result<ChargeOutcome, ProviderError> {
        let (payment_id, now) = (charge.payment_id, walltime::now());
        let behaviour = CardBehaviour::for_token(charge.token.as_deref());
        let (view, created) = self
            .change(|ledger| {
                let event = ledger.charge(key, &charge, now)?;
                Ok((event, move |ledger: &Ledger, created: bool| {
                    (ledger.first_response(payment_id), created)
                }))
            })
            .await?;
        match view {
            Some(view) if behaviour.responds() => Ok(ChargeOutcome::Response { view, created }),
            _ => Ok(ChargeOutcome::NoResponse),
        }
    }

    /// Cancels a payment that is not decided, so that it never captures any money.
    pub async fn cancel(&self, charge: Charge) -> Result<PaymentView, ProviderError> {
        let (payment_id, now) = (charge.payment_id, walltime::now());
        let view = self
            .change(|ledger| {
                let event = ledger.cancel(&charge, now)?;
                Ok((event, move |ledger: &Ledger, _: bool| ledger.payment(payment_id)))
            })
            .await?;
        Ok(view.ok_or(Refusal::UnknownPayment)?)
    }

    /// Refunds a payment. Also returns whether this request has created the refund.
    pub async fn refund(
        &self,
        payment_id: Uuid,
        key: &str,
        amount: u64,
    ) -> Result<(RefundView, bool), ProviderError> {
        let (refund_id, now, refund_key) = (Uuid::now_v7(), walltime::now(), key.to_string());
        let (view, created) = self
            .change(|ledger| {
                let event = ledger.refund(payment_id, key, amount, refund_id, now)?;
                Ok((event, move |ledger: &Ledger, created: bool| {
                    (ledger.refund_for_key(&refund_key), created)
                }))
            })
            .await?;
        Ok((view.ok_or(Refusal::UnknownPayment)?, created))
    }

    /// Returns a payment in its present state.
    pub async fn payment(&self, payment_id: Uuid) -> Result<PaymentView, ProviderError> {
        let view = self.read(move |ledger| ledger.payment(payment_id)).await?;
        Ok(view.ok_or(Refusal::UnknownPayment)?)
    }

    /// Returns a page of the ledger and the position of the next page.
    pub async fn ledger_page(
        &self,
        sale: Option<SaleId>,
        after: usize,
        max: usize,
    ) -> Result<(Vec<LedgerEntry>, Option<usize>), ProviderError> {
        self.read(move |ledger| ledger.page(sale.as_ref(), after, max)).await
    }

    async fn read<T>(&self, read: impl FnOnce(&Ledger) -> T) -> Result<T, ProviderError> {
        self.change(|_| Ok((None, |ledger: &Ledger, _: bool| read(ledger)))).await
    }

    /// Applies the event that `decide` returns, if any, and reads the result. Returns it when the disk has every event
    /// that it depends on.
    async fn change<T, F: FnOnce(&Ledger, bool) -> T>(
        &self,
        decide: impl FnOnce(&Ledger) -> Result<(Option<LedgerEvent>, F), Refusal>,
    ) -> Result<T, ProviderError> {
        let (result, tasks, position) = {
            let mut state = self.state.lock();
            let (event, read) = decide(&state.ledger)?;
            let tasks = event.as_ref().map(|event| state.apply(event)).unwrap_or_default();
            (read(&state.ledger, event.is_some()), tasks, state.journal.position())
        };
        position.wait_until_durable().await?;
        self.start_tasks(tasks);
        Ok(result)
    }

    fn start_tasks(&self, tasks: Vec<ScheduledTask>) {
        for task in tasks {
            match task {
                ScheduledTask::Callback(callback) => {
                    let (this, id) = (self.clone(), callback.id.clone());
                    self.callbacks.schedule(callback, move || this.close_callback(id));
                }
                ScheduledTask::Decision { payment_id, due } => self.schedule_decision(payment_id, due),
            }
        }
    }

    fn schedule_decision(&self, payment_id: Uuid, due: Timestamp) {
        let this = self.clone();
        self.callbacks.run_at(due, async move {
            let decided = this
                .change(|ledger| {
                    let event = ledger.decide(payment_id, walltime::now());
                    Ok((event, |_: &Ledger, decided: bool| decided))
                })
                .await;
            match decided {
                Ok(_) => tracing::info!(%payment_id, "decided a late payment"),
                Err(error) => tracing::error!(%payment_id, %error, "cannot decide a late payment"),
            }
        });
    }

    fn close_callback(&self, callback_id: String) {
        // The disk is not waited for: after a crash, the callback is sent once more with the same id.
        let _not_awaited: JournalPosition = {
            let mut state = self.state.lock();
            state.apply(&LedgerEvent::CallbackClosed { callback_id });
            state.journal.position()
        };
    }
}

impl ProviderState {
    fn apply(&mut self, event: &LedgerEvent) -> Vec<ScheduledTask> {
        self.journal.append(event);
        self.ledger.apply(event)
    }
}

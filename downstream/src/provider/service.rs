//! The provider's book and journal as one: each call decides, remembers, waits for the disk, and starts
//! what is due because of it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::ids::SaleId;
use contract::timestamp::Timestamp;
use process::walltime;
use uuid::Uuid;

use super::callbacks::CallbackSender;
use super::journal::{Journal, JournalError, JournalPosition};
use super::ledger::{
    Charge, Ledger, LedgerEntry, LedgerEvent, PaymentView, RefundView, Refusal, ScheduledTask,
};
use super::test_cards::CardBehaviour;

/// The provider; clones share it.
#[derive(Clone)]
pub struct Provider {
    state: Arc<Mutex<State>>,
    deliver: CallbackSender,
}

struct State {
    book: Ledger,
    journal: Journal,
}

/// What a charge is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The payment.
    Response {
        /// As it is told.
        view: PaymentView,
        /// Whether this request made it known.
        created: bool,
    },
    /// Nothing, ever.
    NoResponse,
}

/// Why a call has no answer of its own.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be remembered.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Provider {
    /// Reads the journal, and goes on with what was unfinished.
    pub fn open(journal: &Path, late_ms: u64, deliver: CallbackSender) -> Result<Self, JournalError> {
        let mut book = Ledger::new(late_ms);
        let journal = Journal::open(journal, |event| drop(book.apply(&event)))?;
        let unfinished = book.unfinished();
        let this = Self { state: Arc::new(Mutex::new(State { book, journal })), deliver };
        this.start(unfinished);
        Ok(this)
    }

    /// Takes money, as the token says.
    pub async fn charge(&self, key: &str, charge: Charge) -> Result<ChargeOutcome, ProviderError> {
        let (payment_id, now) = (charge.payment_id, walltime::now());
        let behaviour = CardBehaviour::for_token(charge.token.as_deref());
        let (view, created) = self
            .change(|book| {
                let event = book.charge(key, &charge, now)?;
                Ok((event, move |book: &Ledger, created: bool| (book.first_response(payment_id), created)))
            })
            .await?;
        match view {
            Some(view) if behaviour.answers() => Ok(ChargeOutcome::Response { view, created }),
            _ => Ok(ChargeOutcome::NoResponse),
        }
    }

    /// Makes sure that a payment that is not decided never takes any money.
    pub async fn cancel(&self, charge: Charge) -> Result<PaymentView, ProviderError> {
        let (payment_id, now) = (charge.payment_id, walltime::now());
        let view = self
            .change(|book| {
                Ok((book.cancel(&charge, now)?, move |book: &Ledger, _: bool| book.payment(payment_id)))
            })
            .await?;
        Ok(view.ok_or(Refusal::UnknownPayment)?)
    }

    /// Gives money back. Also says whether this request did.
    pub async fn refund(
        &self,
        payment_id: Uuid,
        key: &str,
        amount: u64,
    ) -> Result<(RefundView, bool), ProviderError> {
        let (refund_id, now, key_again) = (Uuid::now_v7(), walltime::now(), key.to_string());
        let (view, created) = self
            .change(|book| {
                let event = book.refund(payment_id, key, amount, refund_id, now)?;
                Ok((event, move |book: &Ledger, created: bool| (book.refund_for_key(&key_again), created)))
            })
            .await?;
        Ok((view.ok_or(Refusal::UnknownPayment)?, created))
    }

    /// A payment as it stands.
    pub async fn payment(&self, payment_id: Uuid) -> Result<PaymentView, ProviderError> {
        let view =
            self.change(|_| Ok((None, move |book: &Ledger, _: bool| book.payment(payment_id)))).await?;
        Ok(view.ok_or(Refusal::UnknownPayment)?)
    }

    /// A page of the ledger, and where the next one begins.
    pub async fn ledger(
        &self,
        sale: Option<SaleId>,
        after: usize,
        max: usize,
    ) -> Result<(Vec<LedgerEntry>, Option<usize>), ProviderError> {
        self.change(|_| Ok((None, move |book: &Ledger, _: bool| book.ledger(sale.as_ref(), after, max))))
            .await
    }

    /// One change or none, and what is seen after it, once the disk has everything that was seen.
    async fn change<T, F: FnOnce(&Ledger, bool) -> T>(
        &self,
        decide: impl FnOnce(&Ledger) -> Result<(Option<LedgerEvent>, F), Refusal>,
    ) -> Result<T, ProviderError> {
        let (seen, due, mark) = {
            let mut state = self.lock();
            let (event, look) = decide(&state.book)?;
            let due = event.as_ref().map(|event| state.apply(event)).unwrap_or_default();
            (look(&state.book, event.is_some()), due, state.journal.mark())
        };
        mark.durable().await?;
        self.start(due);
        Ok(seen)
    }

    /// Starts what waits for its time.
    fn start(&self, due: Vec<ScheduledTask>) {
        for due in due {
            match due {
                ScheduledTask::Callback(callback) => self.deliver.start(self.clone(), callback),
                ScheduledTask::Decision { payment_id, due } => self.decide_later(payment_id, due),
            }
        }
    }

    fn decide_later(&self, payment_id: Uuid, due: Timestamp) {
        let this = self.clone();
        self.deliver.at(due, async move {
            let decided = this
                .change(|book| {
                    let event = book.decide(payment_id, walltime::now());
                    Ok((event, |_: &Ledger, decided: bool| decided))
                })
                .await;
            match decided {
                Ok(_) => tracing::info!(%payment_id, "a late payment is decided"),
                Err(error) => tracing::error!(%payment_id, %error, "a late payment stays undecided"),
            }
        });
    }

    /// A callback needs no further try.
    pub fn close(&self, callback_id: &str) {
        // Nobody waits for it: after a crash it is sent once more, with the same id.
        let _unawaited: JournalPosition = {
            let mut state = self.lock();
            state.apply(&LedgerEvent::CallbackClosed { callback_id: callback_id.into() });
            state.journal.mark()
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic can leave it half changed: an event is applied whole, or the process has ended.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, event: &LedgerEvent) -> Vec<ScheduledTask> {
        self.journal.append(event);
        self.book.apply(event)
    }
}

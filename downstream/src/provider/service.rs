//! The provider's book and journal as one: each call decides, remembers, waits for the disk, and starts
//! what is due because of it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::ids::SaleId;
use contract::timestamp::Timestamp;
use process::walltime;
use uuid::Uuid;

use super::book::{Book, Charge, Due, Event, LedgerEntry, PaymentView, RefundView, Refusal};
use super::callbacks::Deliver;
use super::journal::{Journal, JournalError, Mark};
use super::token::Behaviour;

/// The provider; clones share it.
#[derive(Clone)]
pub struct Provider {
    state: Arc<Mutex<State>>,
    deliver: Deliver,
}

struct State {
    book: Book,
    journal: Journal,
}

/// What a charge is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// The payment.
    Payment {
        /// As it is told.
        view: PaymentView,
        /// Whether this request made it known.
        created: bool,
    },
    /// Nothing, ever.
    Silence,
}

/// Why a call has no answer of its own.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be remembered.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Provider {
    /// Reads the journal, and goes on with what was unfinished.
    pub fn open(journal: &Path, late_ms: u64, deliver: Deliver) -> Result<Self, JournalError> {
        let mut book = Book::new(late_ms);
        let journal = Journal::open(journal, |event| drop(book.apply(&event)))?;
        let unfinished = book.unfinished();
        let this = Self { state: Arc::new(Mutex::new(State { book, journal })), deliver };
        this.start(unfinished);
        Ok(this)
    }

    /// Takes money, as the token says.
    pub async fn charge(&self, key: &str, charge: Charge) -> Result<Answered, Failure> {
        let (payment_id, now) = (charge.payment_id, walltime::now());
        let behaviour = Behaviour::of(charge.token.as_deref());
        let (view, created) = self
            .change(|book| {
                let event = book.charge(key, &charge, now)?;
                Ok((event, move |book: &Book, created: bool| (book.first_answer(payment_id), created)))
            })
            .await?;
        match view {
            Some(view) if behaviour.answers() => Ok(Answered::Payment { view, created }),
            _ => Ok(Answered::Silence),
        }
    }

    /// Makes sure that a payment that is not decided never takes any money.
    pub async fn cancel(&self, charge: Charge) -> Result<PaymentView, Failure> {
        let (payment_id, now) = (charge.payment_id, walltime::now());
        let view = self
            .change(|book| {
                Ok((book.cancel(&charge, now)?, move |book: &Book, _: bool| book.payment(payment_id)))
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
    ) -> Result<(RefundView, bool), Failure> {
        let (refund_id, now, key_again) = (Uuid::now_v7(), walltime::now(), key.to_string());
        let (view, created) = self
            .change(|book| {
                let event = book.refund(payment_id, key, amount, refund_id, now)?;
                Ok((event, move |book: &Book, created: bool| (book.refund_of(&key_again), created)))
            })
            .await?;
        Ok((view.ok_or(Refusal::UnknownPayment)?, created))
    }

    /// A payment as it stands.
    pub async fn payment(&self, payment_id: Uuid) -> Result<PaymentView, Failure> {
        let view = self.change(|_| Ok((None, move |book: &Book, _: bool| book.payment(payment_id)))).await?;
        Ok(view.ok_or(Refusal::UnknownPayment)?)
    }

    /// A page of the ledger, and where the next one begins.
    pub async fn ledger(
        &self,
        sale: Option<SaleId>,
        after: usize,
        max: usize,
    ) -> Result<(Vec<LedgerEntry>, Option<usize>), Failure> {
        self.change(|_| Ok((None, move |book: &Book, _: bool| book.ledger(sale.as_ref(), after, max)))).await
    }

    /// One change or none, and what is seen after it, once the disk has everything that was seen.
    async fn change<T, F: FnOnce(&Book, bool) -> T>(
        &self,
        decide: impl FnOnce(&Book) -> Result<(Option<Event>, F), Refusal>,
    ) -> Result<T, Failure> {
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
    fn start(&self, due: Vec<Due>) {
        for due in due {
            match due {
                Due::Callback(callback) => self.deliver.start(self.clone(), callback),
                Due::Decision { payment_id, due } => self.decide_later(payment_id, due),
            }
        }
    }

    fn decide_later(&self, payment_id: Uuid, due: Timestamp) {
        let this = self.clone();
        self.deliver.at(due, async move {
            let decided = this
                .change(|book| {
                    let event = book.decide(payment_id, walltime::now());
                    Ok((event, |_: &Book, decided: bool| decided))
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
        let _unawaited: Mark = {
            let mut state = self.lock();
            state.apply(&Event::CallbackClosed { callback_id: callback_id.into() });
            state.journal.mark()
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic can leave it half changed: an event is applied whole, or the process has ended.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, event: &Event) -> Vec<Due> {
        self.journal.append(event);
        self.book.apply(event)
    }
}

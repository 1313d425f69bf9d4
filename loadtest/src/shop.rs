//! How a customer talks to the gateways: every attempt goes into the journal, and what may have
//! happened or may yet happen is asked for again with the same key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::order::OrderRequest;

use crate::answer::Answer;
use crate::journal::{Class, Entry, Journal, Sent, now_us};
use crate::pool::Pool;
use crate::request;
use crate::tally::Tally;

/// Attempts of one request before a customer gives up.
pub const ATTEMPTS_MAX: u32 = 12;
/// Longest wait for one answer; the connection is given up with it.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Pause after an attempt without an answer, where no Retry-After tells one.
const PAUSE: Duration = Duration::from_secs(1);

/// One request, as often as it is sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who.
    pub customer: String,
    /// `None`: left out.
    pub key: Option<String>,
    /// The sale in the path.
    pub sale: String,
    /// The body.
    pub body: String,
    /// The body decoded; `None` when it is not an order.
    pub order: Option<OrderRequest>,
    /// Why it is sent.
    pub class: Class,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Whether it names its customer.
    pub signed_in: bool,
}

impl Request {
    /// An ordinary one.
    pub fn order(sale: &str, customer: &str, key: &str, order: OrderRequest) -> Self {
        Self {
            customer: customer.to_owned(),
            key: Some(key.to_owned()),
            sale: sale.to_owned(),
            // Strings and integers always serialize.
            body: serde_json::to_string(&order).unwrap_or_default(),
            order: Some(order),
            class: Class::Plain,
            content_type: "application/json",
            signed_in: true,
        }
    }
    /// The same, sent for another reason.
    pub fn because(&self, class: Class) -> Self {
        Self { class, ..self.clone() }
    }
    fn bytes(&self, host: &str) -> Vec<u8> {
        let customer = self.signed_in.then_some(self.customer.as_str());
        request::post_order(host, &self.sale, customer, self.key.as_deref(), self.content_type, &self.body)
    }
}

/// An answer and its bytes.
#[derive(Debug, Clone)]
pub struct Told {
    /// What it says.
    pub answer: Answer,
    /// Its body; empty when there was none.
    pub body: Vec<u8>,
}

/// All gateways, one journal, one tally.
#[derive(Debug)]
pub struct Shop {
    gateways: Vec<Pool>,
    journal: Journal,
    tally: Mutex<Tally>,
    begun: Instant,
}

impl Shop {
    /// The run begins now.
    pub fn open(gateways: Vec<Pool>, journal: Journal) -> Self {
        Self { gateways, journal, tally: Mutex::default(), begun: Instant::now() }
    }

    /// What has been counted so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many gateways there are.
    pub fn gateways(&self) -> usize {
        self.gateways.len()
    }

    /// Ends the run. Drops the journal's handle.
    pub fn close(self) -> Tally {
        self.tally.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends once, writes down what came back.
    pub async fn attempt(&self, request: &Request, gateway: usize) -> Told {
        let pool = &self.gateways[gateway % self.gateways.len()];
        let bytes = request.bytes(pool.host());
        let sent_us = now_us();
        let told = match tokio::time::timeout(ANSWER_LIMIT, pool.call(&bytes)).await {
            Ok(Ok(answered)) => Told { answer: Answer::read(&answered), body: answered.body },
            Ok(Err(_)) | Err(_) => Told { answer: Answer::none(), body: Vec::new() },
        };
        self.write_down(request, pool, sent_us, &told.answer);
        told
    }

    /// Sends and hangs up without waiting.
    pub async fn hang_up(&self, request: &Request, gateway: usize) {
        let pool = &self.gateways[gateway % self.gateways.len()];
        let bytes = request.bytes(pool.host());
        let sent_us = now_us();
        // Whether it arrived is what nobody knows; the retry finds out.
        let _ = pool.send_and_hang_up(&bytes).await;
        self.write_down(request, pool, sent_us, &Answer::none());
    }

    fn write_down(&self, request: &Request, pool: &Pool, sent_us: u64, answer: &Answer) {
        let sent = Sent {
            sale: &request.sale,
            customer: &request.customer,
            key: request.key.as_deref(),
            gateway: pool.host(),
            class: request.class,
            order: request.order.as_ref(),
            sent_us,
        };
        self.journal.write(Entry::new(&sent, answer));
        self.tally().attempt(answer);
    }

    /// Sends until there is a definite answer, each time to the next gateway, with the same key.
    pub async fn ask(&self, request: &Request, gateway: usize, intended: Instant) -> Told {
        let mut told = self.attempt(request, gateway).await;
        for attempt in 1..ATTEMPTS_MAX {
            if !told.answer.wants_retry() {
                break;
            }
            let pause = told.answer.retry_after_seconds.map_or(PAUSE, |s| Duration::from_secs(s.into()));
            tokio::time::sleep(pause).await;
            told = self.attempt(request, gateway + attempt as usize).await;
        }
        let since_start = intended.saturating_duration_since(self.begun);
        self.tally().outcome(&told.answer, since_start, intended.elapsed());
        told
    }
}

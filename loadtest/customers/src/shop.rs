//! How a customer talks to the gateways: every attempt goes into the journal, and what may have
//! happened or may yet happen is asked for again with the same key.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::ids::OrderId;
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

/// How long customers go on.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts of one request before a customer gives up.
    pub attempts_max: u32,
    /// Longest wait for one answer; the connection is given up with it.
    pub answer_limit: Duration,
    /// Pause after an attempt without an answer, where no Retry-After tells one.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts_max: ATTEMPTS_MAX, answer_limit: ANSWER_LIMIT, pause: PAUSE }
    }
}

/// All gateways, one journal, one tally.
#[derive(Debug)]
pub struct Shop {
    gateways: Vec<Pool>,
    journal: Journal,
    tally: Mutex<Tally>,
    begun: Instant,
    patience: Patience,
}

impl Shop {
    /// The run begins now.
    pub fn open(gateways: Vec<Pool>, journal: Journal) -> Self {
        Self {
            gateways,
            journal,
            tally: Mutex::default(),
            begun: Instant::now(),
            patience: Patience::default(),
        }
    }

    /// With other customers.
    pub fn with(self, patience: Patience) -> Self {
        Self { patience, ..self }
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
        self.attempt_within(request, gateway, self.patience.answer_limit).await
    }

    /// The same with a limit of its own.
    pub async fn attempt_within(&self, request: &Request, gateway: usize, limit: Duration) -> Told {
        let pool = self.gateway(gateway);
        let bytes = request.bytes(pool.host());
        let sent_us = now_us();
        let told = match tokio::time::timeout(limit, pool.call(&bytes)).await {
            Ok(Ok(answered)) => Told { answer: Answer::read(&answered), body: answered.body },
            Ok(Err(_)) | Err(_) => Told { answer: Answer::none(), body: Vec::new() },
        };
        self.write_down(request, pool, sent_us, &told.answer);
        told
    }

    /// Sends and hangs up without waiting.
    pub async fn hang_up(&self, request: &Request, gateway: usize) {
        let pool = self.gateway(gateway);
        let bytes = request.bytes(pool.host());
        let sent_us = now_us();
        // Whether it arrived is what nobody knows; the retry finds out.
        let _ = pool.send_and_hang_up(&bytes).await;
        self.write_down(request, pool, sent_us, &Answer::none());
    }

    /// Cancels an order; returns the status, `None` where there was no answer. Not in the journal, which is
    /// about orders.
    pub async fn cancel(&self, sale: &str, customer: &str, order: OrderId, gateway: usize) -> Option<u16> {
        let pool = self.gateway(gateway);
        let bytes = request::cancel(pool.host(), sale, customer, order);
        let answered = tokio::time::timeout(self.patience.answer_limit, pool.call(&bytes)).await;
        answered.ok()?.ok().map(|answered| answered.head.status)
    }

    /// The way to a gateway; numbers beyond the last begin anew.
    pub fn gateway(&self, gateway: usize) -> &Pool {
        &self.gateways[gateway % self.gateways.len()]
    }

    /// How long its customers go on.
    pub fn patience(&self) -> Patience {
        self.patience
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
        for attempt in 1..self.patience.attempts_max {
            if !told.answer.wants_retry() {
                break;
            }
            let pause = told
                .answer
                .retry_after_seconds
                .map_or(self.patience.pause, |s| Duration::from_secs(s.into()));
            tokio::time::sleep(pause).await;
            told = self.attempt(request, gateway + attempt as usize).await;
        }
        let since_start = intended.saturating_duration_since(self.begun);
        self.tally().outcome(&told.answer, since_start, intended.elapsed());
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Authority;
    use crate::journal;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers one request a connection: with these bytes, or by hanging up where there are none.
    async fn gateway(answers: &'static [&'static str]) -> (Authority, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let mut seen = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                seen.push(String::from_utf8(buffer[..read].to_vec()).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            seen
        });
        (Authority::resolve(&url).unwrap(), served)
    }

    const AGAIN: &str = "HTTP/1.1 503 x\r\nRetry-After: 0\r\nConnection: close\r\nContent-Length: 26\r\n\r\n\
                         {\"code\":\"outcome_unknown\"}";
    const ACCEPTED: &str = "HTTP/1.1 202 x\r\nConnection: close\r\nContent-Length: 51\r\n\r\n\
                            {\"order_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}";

    #[tokio::test]
    async fn what_may_have_happened_is_asked_again_with_the_same_key_at_the_other_gateway() {
        let (first, first_saw) = gateway(&[AGAIN]).await;
        let (second, second_saw) = gateway(&[ACCEPTED]).await;
        let file = std::env::temp_dir().join(format!("shop-{}.jsonl", std::process::id()));
        let (journal, writer) = journal::create(&file).unwrap();
        let pools = [first, second].map(|gateway| Pool::new(gateway, 1)).into();
        let shop = Shop::open(pools, journal);
        let request = Request::order("s", "c", "the-key", request::body(&[("A", 1)]));
        let told = shop.ask(&request, 0, Instant::now()).await;
        assert!(told.answer.is_accepted(), "{told:?}");
        for saw in [first_saw, second_saw] {
            assert!(saw.await.unwrap()[0].contains("Idempotency-Key: the-key\r\n"));
        }
        let tally = shop.close();
        assert_eq!((tally.requests, tally.accepted.count(), tally.orders.len()), (2, 1, 1));
        writer.finish().unwrap();
        let entries = journal::read(&file, "s").unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.status).collect::<Vec<_>>(), [503, 202]);
        assert_eq!(entries[0].code.as_deref(), Some("outcome_unknown"));
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_leaves_an_entry_without_an_answer() {
        let (target, saw) = gateway(&[""]).await;
        let file = std::env::temp_dir().join(format!("shop-hung-{}.jsonl", std::process::id()));
        let (journal, writer) = journal::create(&file).unwrap();
        let shop = Shop::open(vec![Pool::new(target, 1)], journal);
        let request = Request::order("s", "c", "k", request::body(&[("A", 1)]));
        shop.hang_up(&request.because(Class::HungUp), 0).await;
        assert!(saw.await.unwrap()[0].starts_with("POST /v1/sales/s/orders"));
        writer.finish().unwrap();
        let entries = journal::read(&file, "s").unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((entries[0].status, entries[0].class), (0, Class::HungUp));
    }
}

//! The client with which customers call the gateways. Every attempt is recorded in the journal, and a request
//! whose outcome is unknown is retried with the same key.

use std::time::{Duration, Instant};

use contract::ids::OrderId;
use contract::order::OrderRequest;
use contract::wire;
use parking_lot::{Mutex, MutexGuard};

use crate::journal::{Class, Entry, Journal, SentRequest, now_us};
use crate::pool::Pool;
use crate::request;
use crate::response::Response;
use crate::stats::Stats;

/// The number of attempts of one request before a customer gives up.
pub const ATTEMPTS_MAX: u32 = 12;
/// The longest wait for a response; the connection is closed afterwards.
pub const RESPONSE_LIMIT: Duration = Duration::from_secs(15);
/// The pause after an attempt without a response or without a Retry-After.
const PAUSE: Duration = Duration::from_secs(1);

/// An order request, which may be sent several times.
#[derive(Debug, Clone)]
pub struct Request {
    /// The customer's id.
    pub customer: String,
    /// The Idempotency-Key; `None` to omit it.
    pub key: Option<String>,
    /// The sale in the path.
    pub sale: String,
    /// The body of the request.
    pub body: String,
    /// The decoded body; `None` when the body is not an order.
    pub order: Option<OrderRequest>,
    /// The reason for the form of the request, for the journal.
    pub class: Class,
    /// The value of the `Content-Type` header.
    pub content_type: &'static str,
    /// Whether the request has an Authorization header.
    pub authenticated: bool,
}

impl Request {
    /// Creates an ordinary request.
    pub fn order(sale: &str, customer: &str, key: &str, order: OrderRequest) -> Self {
        Self {
            customer: customer.to_owned(),
            key: Some(key.to_owned()),
            sale: sale.to_owned(),
            body: wire::encode_text(&order),
            order: Some(order),
            class: Class::Plain,
            content_type: "application/json",
            authenticated: true,
        }
    }

    /// Returns the same request with another class.
    pub fn with_class(&self, class: Class) -> Self {
        Self { class, ..self.clone() }
    }

    fn render(&self, host: &str) -> Vec<u8> {
        let customer = self.authenticated.then_some(self.customer.as_str());
        request::post_order(host, &self.sale, customer, self.key.as_deref(), self.content_type, &self.body)
    }
}

/// The decoded response to a request together with its raw body.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The decoded response.
    pub response: Response,
    /// The raw body; empty without a response.
    pub body: Vec<u8>,
}

/// How often and how long a customer retries.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The number of attempts of one request before the customer gives up.
    pub attempts_max: u32,
    /// The longest wait for a response; the connection is closed afterwards.
    pub response_limit: Duration,
    /// The pause after an attempt without a response or without a Retry-After.
    pub pause: Duration,
}

impl RetryPolicy {
    /// Returns the pause before the next attempt: the Retry-After of the response, or the default.
    pub fn pause_after(&self, response: &Response) -> Duration {
        response.retry_after_seconds.map_or(self.pause, |seconds| Duration::from_secs(seconds.into()))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts_max: ATTEMPTS_MAX, response_limit: RESPONSE_LIMIT, pause: PAUSE }
    }
}

/// A client of all gateways, with one journal and the counts of the run.
#[derive(Debug)]
pub struct CustomerClient {
    gateways: Vec<Pool>,
    journal: Journal,
    stats: Mutex<Stats>,
    begun: Instant,
    retry_policy: RetryPolicy,
}

impl CustomerClient {
    /// Creates a client; the run begins now.
    pub fn new(gateways: Vec<Pool>, journal: Journal) -> Self {
        Self {
            gateways,
            journal,
            stats: Mutex::default(),
            begun: Instant::now(),
            retry_policy: RetryPolicy::default(),
        }
    }

    /// Returns the client with another retry policy.
    pub fn with_retry_policy(self, retry_policy: RetryPolicy) -> Self {
        Self { retry_policy, ..self }
    }

    /// Returns the counts so far.
    pub fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock()
    }

    /// Ends the run: drops the handle of the journal and returns the counts.
    pub fn into_stats(self) -> Stats {
        self.stats.into_inner()
    }

    /// Sends a request once, waits at most `limit` for the response, and records it.
    pub async fn send_once(&self, request: &Request, gateway: usize, limit: Duration) -> Outcome {
        let pool = self.gateway(gateway);
        let bytes = request.render(pool.host());
        let sent_us = now_us();
        let outcome = match tokio::time::timeout(limit, pool.call(&bytes)).await {
            Ok(Ok(response)) => Outcome { response: Response::from_http(&response), body: response.body },
            Ok(Err(_)) | Err(_) => Outcome { response: Response::missing(), body: Vec::new() },
        };
        self.record(request, pool, sent_us, &outcome.response);
        outcome
    }

    /// Sends a request and closes the connection without waiting for the response.
    pub async fn send_and_hang_up(&self, request: &Request, gateway: usize) {
        let pool = self.gateway(gateway);
        let bytes = request.render(pool.host());
        let sent_us = now_us();
        // Whether the request arrived is unknown; a retry reveals it.
        let _ = pool.send_and_hang_up(&bytes).await;
        self.record(request, pool, sent_us, &Response::missing());
    }

    /// Sends a request with the same key until there is a definite response, each time to the next gateway.
    pub async fn send_with_retries(&self, request: &Request, gateway: usize, intended: Instant) -> Outcome {
        let limit = self.retry_policy.response_limit;
        let mut outcome = self.send_once(request, gateway, limit).await;
        for attempt in 1..self.retry_policy.attempts_max {
            if !outcome.response.should_retry() {
                break;
            }
            tokio::time::sleep(self.retry_policy.pause_after(&outcome.response)).await;
            outcome = self.send_once(request, gateway + attempt as usize, limit).await;
        }
        let since_start = intended.saturating_duration_since(self.begun);
        self.stats().record_outcome(&outcome.response, since_start, intended.elapsed());
        outcome
    }

    /// Cancels an order. Returns the status, or `None` without a response. The journal contains only orders,
    /// so this is not recorded.
    pub async fn cancel(&self, sale: &str, customer: &str, order: OrderId, gateway: usize) -> Option<u16> {
        let pool = self.gateway(gateway);
        let bytes = request::cancel(pool.host(), sale, customer, order);
        let response = tokio::time::timeout(self.retry_policy.response_limit, pool.call(&bytes)).await;
        response.ok()?.ok().map(|response| response.head.status)
    }

    /// Returns the pool of a gateway; numbers above the last one start again at the first.
    pub fn gateway(&self, gateway: usize) -> &Pool {
        &self.gateways[gateway % self.gateways.len()]
    }

    /// Returns the retry policy.
    pub fn retry_policy(&self) -> RetryPolicy {
        self.retry_policy
    }

    fn record(&self, request: &Request, pool: &Pool, sent_us: u64, response: &Response) {
        let sent = SentRequest {
            sale: &request.sale,
            customer: &request.customer,
            key: request.key.as_deref(),
            gateway: pool.host(),
            class: request.class,
            order: request.order.as_ref(),
            sent_us,
        };
        self.journal.write(Entry::new(&sent, response));
        self.stats().record_attempt(response);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Authority;
    use crate::journal;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Starts a gateway that sends one response per connection; an empty response closes the connection.
    async fn gateway(
        responses: &'static [&'static str],
    ) -> (Authority, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let mut received = Vec::new();
            for response in responses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                received.push(String::from_utf8(buffer[..read].to_vec()).unwrap());
                stream.write_all(response.as_bytes()).await.unwrap();
            }
            received
        });
        (Authority::resolve(&url).unwrap(), server)
    }

    const UNKNOWN: &str = "HTTP/1.1 503 x\r\nRetry-After: 0\r\nConnection: close\r\nContent-Length: 26\r\n\r\n\
                           {\"code\":\"outcome_unknown\"}";
    const ACCEPTED: &str = "HTTP/1.1 202 x\r\nConnection: close\r\nContent-Length: 51\r\n\r\n\
                            {\"order_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}";

    #[tokio::test]
    async fn an_unknown_outcome_is_retried_with_the_same_key_at_the_other_gateway() {
        let (first, first_received) = gateway(&[UNKNOWN]).await;
        let (second, second_received) = gateway(&[ACCEPTED]).await;
        let file = std::env::temp_dir().join(format!("client-{}.jsonl", std::process::id()));
        let (journal, writer) = journal::create(&file).unwrap();
        let pools = [first, second].map(|gateway| Pool::new(gateway, 1)).into();
        let client = CustomerClient::new(pools, journal);
        let request = Request::order("s", "c", "the-key", request::order_with_lines(&[("A", 1)]));
        let outcome = client.send_with_retries(&request, 0, Instant::now()).await;
        assert!(outcome.response.is_accepted(), "{outcome:?}");
        for received in [first_received, second_received] {
            assert!(received.await.unwrap()[0].contains("Idempotency-Key: the-key\r\n"));
        }
        let stats = client.into_stats();
        assert_eq!((stats.requests, stats.accepted.count(), stats.orders.len()), (2, 1, 1));
        writer.finish().unwrap();
        let entries = journal::read(&file, "s").unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.status).collect::<Vec<_>>(), [503, 202]);
        assert_eq!(entries[0].code.as_deref(), Some("outcome_unknown"));
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_records_an_entry_without_a_response() {
        let (target, received) = gateway(&[""]).await;
        let file = std::env::temp_dir().join(format!("client-hung-{}.jsonl", std::process::id()));
        let (journal, writer) = journal::create(&file).unwrap();
        let client = CustomerClient::new(vec![Pool::new(target, 1)], journal);
        let request = Request::order("s", "c", "k", request::order_with_lines(&[("A", 1)]));
        client.send_and_hang_up(&request.with_class(Class::HungUp), 0).await;
        assert!(received.await.unwrap()[0].starts_with("POST /v1/sales/s/orders"));
        writer.finish().unwrap();
        let entries = journal::read(&file, "s").unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((entries[0].status, entries[0].class), (0, Class::HungUp));
    }
}

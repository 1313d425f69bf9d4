//! Callbacks to the merchant: each is signed, and retried with growing pauses until the merchant accepts it.

use std::sync::Arc;
use std::time::Duration;

use contract::timestamp::Timestamp;
use contract::webhook::{self, Secret};
use contract::wire;
use process::walltime;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ledger::Callback;
use crate::tls::{TlsError, TrustStore, cause_chain};

process::metrics! {
    static CALLBACKS: Counter["result"] = "provider_callbacks_total",
        "Callback attempts of the simulated provider, by result (taken, refused, given_up).";
}

/// The greatest number of callbacks in flight.
const IN_FLIGHT_MAX: usize = 32;
/// The time limit of one attempt.
const RESPONSE_MAX: Duration = Duration::from_secs(5);
/// The pause between the first two attempts. It doubles with each attempt up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The provider gives up a callback this long after it was due.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Sends callbacks and runs other tasks at their time. Clones share everything.
#[derive(Clone)]
pub struct CallbackSender {
    http: reqwest::Client,
    secret: Option<Secret>,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl CallbackSender {
    /// Creates a sender that signs with this secret; without one, it sends nothing. It ends with `stop`; the journal
    /// has the callbacks that were not delivered.
    pub fn new(
        secret: Option<Secret>,
        trust: &TrustStore,
        stop: CancellationToken,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            http: trust.http_client(RESPONSE_MAX)?.build()?,
            secret,
            permits: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Runs a task at its time, unless the process stops first.
    pub fn run_at(&self, due: Timestamp, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let wait = Duration::from_millis(due.0.saturating_sub(walltime::now().0));
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
                work.await;
            }
        });
    }

    /// Delivers a callback at its time, and calls `close` when it needs no further attempt.
    pub fn schedule(&self, callback: Callback, close: impl FnOnce() + Send + 'static) {
        let this = self.clone();
        self.run_at(callback.due, async move {
            if this.stop.run_until_cancelled(this.deliver(&callback)).await == Some(true) {
                close();
            }
        });
    }

    /// Waits for the tasks that are running.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Retries until the merchant accepts the callback or it is too old. Returns whether it needs no further attempt.
    async fn deliver(&self, callback: &Callback) -> bool {
        let Some(secret) = &self.secret else { return false };
        let body = wire::encode(&callback.body);
        let mut pause = PAUSE_FIRST;
        loop {
            let sent = self.send(secret, callback, &body).await;
            let age_ms = walltime::now().0.saturating_sub(callback.due.0);
            match sent {
                Ok(()) => {
                    CALLBACKS.with(["taken"]).increment(1);
                    return true;
                }
                Err(why) if age_ms > AGE_MAX.as_millis() as u64 => {
                    CALLBACKS.with(["given_up"]).increment(1);
                    tracing::error!(id = callback.id, url = callback.url, why, "giving up a callback");
                    return true;
                }
                Err(why) => {
                    CALLBACKS.with(["refused"]).increment(1);
                    tracing::debug!(id = callback.id, url = callback.url, why, "callback was not accepted");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn send(&self, secret: &Secret, callback: &Callback, body: &[u8]) -> Result<(), String> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
        let at_seconds = walltime::now().0 / 1000;
        let response = self
            .http
            .post(&callback.url)
            .header(CONTENT_TYPE, "application/json")
            .header(webhook::ID, &callback.id)
            .header(webhook::TIMESTAMP, at_seconds.to_string())
            .header(webhook::SIGNATURE, secret.sign(&callback.id, at_seconds, body))
            .body(body.to_vec())
            .send()
            .await
            .map_err(cause_chain)?;
        if response.status().is_success() { Ok(()) } else { Err(response.status().to_string()) }
    }
}

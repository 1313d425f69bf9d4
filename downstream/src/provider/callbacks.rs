//! Telling the merchant: each callback is signed, and tried with growing delays until it is taken.

use std::sync::Arc;
use std::time::Duration;

use contract::timestamp::Timestamp;
use contract::webhook::{self, Secret};
use metrics::counter;
use process::walltime;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ledger::Callback;
use super::service::Provider;
use crate::tls::{TlsError, TrustStore, why};

/// Callbacks on their way at once.
const SENDING_MAX: usize = 32;
/// The merchant has so long to answer one.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Between the first two tries; doubled from one to the next …
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A callback that nobody takes is given up so long after it was due.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Sends callbacks, and does what else waits for its time; clones share it.
#[derive(Clone)]
pub struct CallbackSender {
    http: reqwest::Client,
    secret: Option<Secret>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl CallbackSender {
    /// Signed with this secret; without one nothing is sent. Ends with `stop`; the journal knows what was not
    /// delivered.
    pub fn new(
        secret: Option<Secret>,
        trust: &TrustStore,
        stop: CancellationToken,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            http: trust.http(ANSWER_MAX)?.build()?,
            secret,
            places: Arc::new(Semaphore::new(SENDING_MAX)),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Does something at its time, unless the process ends before.
    pub fn at(&self, due: Timestamp, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let wait = Duration::from_millis(due.0.saturating_sub(walltime::now().0));
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
                work.await;
            }
        });
    }

    /// Delivers a callback at its time.
    pub fn start(&self, provider: Provider, callback: Callback) {
        let this = self.clone();
        self.at(callback.due, async move {
            let stop = this.stop.clone();
            stop.run_until_cancelled(this.deliver(provider, callback)).await;
        });
    }

    /// Waits for what was begun.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn deliver(&self, provider: Provider, callback: Callback) {
        let Some(secret) = &self.secret else { return };
        let body = serde_json::to_vec(&callback.body).unwrap_or_default(); // names and numbers always serialize
        let mut pause = PAUSE_FIRST;
        loop {
            let sent = self.send(secret, &callback, &body).await;
            let age_ms = walltime::now().0.saturating_sub(callback.due.0);
            match sent {
                Ok(()) => {
                    counter!("provider_callbacks_total", "result" => "taken").increment(1);
                    return provider.close(&callback.id);
                }
                Err(why) if age_ms > AGE_MAX.as_millis() as u64 => {
                    counter!("provider_callbacks_total", "result" => "given_up").increment(1);
                    tracing::error!(id = callback.id, url = callback.url, why, "a callback is given up");
                    return provider.close(&callback.id);
                }
                Err(why) => {
                    counter!("provider_callbacks_total", "result" => "refused").increment(1);
                    tracing::debug!(id = callback.id, url = callback.url, why, "a callback was not taken");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn send(&self, secret: &Secret, callback: &Callback, body: &[u8]) -> Result<(), String> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let at_seconds = walltime::now().0 / 1000;
        let answer = self
            .http
            .post(&callback.url)
            .header(CONTENT_TYPE, "application/json")
            .header(webhook::ID, &callback.id)
            .header(webhook::TIMESTAMP, at_seconds.to_string())
            .header(webhook::SIGNATURE, secret.sign(&callback.id, at_seconds, body))
            .body(body.to_vec())
            .send()
            .await
            .map_err(why)?;
        if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
    }
}

//! The simulated card provider: a process of its own with a real HTTP API, like that of a real provider. It moves no
//! money, but it stores its payments across restarts.
//!
//! | module | what it holds |
//! |---|---|
//! | [`protocol`] | the bodies of requests and responses |
//! | [`test_cards`] | the card tokens and their behaviour |
//! | [`ledger`] | the payments, and the decisions about them |
//! | [`journal`] | the file that stores the payments |
//! | [`callbacks`] | callbacks to the merchant |
//! | [`service`] | decides, stores, and starts the tasks that follow |
//! | [`api`] | the HTTP API |
//! | [`settings`] | every setting |

pub mod api;
pub mod callbacks;
pub mod journal;
pub mod ledger;
pub mod protocol;
pub mod service;
pub mod settings;
pub mod test_cards;

use std::sync::Arc;
use std::time::Duration;

use process::shutdown;

use crate::host::{Host, ListenError};
use crate::tls::{TlsError, TrustStore};
use api::Api;
use callbacks::CallbackSender;
use journal::JournalError;
use service::Provider;
pub use settings::ProviderSettings;

/// The time limit for callbacks in flight at shutdown.
const FINISH: Duration = Duration::from_secs(2);

/// The reason why the provider cannot run at all.
#[derive(Debug, thiserror::Error)]
pub enum ProviderRunError {
    /// The listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The journal cannot be replayed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Runs the provider until the host stops.
pub async fn run(host: &Host, settings: ProviderSettings) -> Result<(), ProviderRunError> {
    if settings.payment_webhook_secret.is_none() {
        tracing::warn!("no callbacks are sent because PAYMENT_WEBHOOK_SECRET is not set");
    }
    let trust = TrustStore::new(&settings.tls)?;
    let callbacks = CallbackSender::new(settings.payment_webhook_secret.clone(), &trust, host.stop.clone())?;
    let provider = Provider::open(&settings.provider_journal, settings.provider_late_ms, callbacks.clone())?;
    let api = Arc::new(Api {
        provider,
        latency_ms: settings.provider_latency_ms,
        latency_spread_ms: settings.provider_latency_spread_ms,
        stop: host.stop.clone(),
    });
    let handler = move |request| {
        let api = api.clone();
        async move { Some(api.respond(request).await) }
    };
    host.serve(settings.provider_listen, handler).await?;
    host.stop.cancelled().await;
    shutdown::finish("callbacks", FINISH, callbacks.finish()).await;
    Ok(())
}

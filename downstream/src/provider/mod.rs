//! The simulated card provider: a process of its own with a real HTTP API, as a merchant meets one. It takes
//! and returns no money, but it does remember, over restarts, what it said it did.
//!
//! | module | what it holds |
//! |---|---|
//! | [`test_cards`] | the card tokens, and what each does |
//! | [`ledger`] | what the provider knows and decides |
//! | [`journal`] | the file that this is remembered in |
//! | [`service`] | the two together: decide, remember, go on |
//! | [`callbacks`] | telling the merchant |
//! | [`api`] | the HTTP API |
//! | [`settings`] | every setting |

pub mod api;
pub mod callbacks;
pub mod journal;
pub mod ledger;
pub mod service;
pub mod settings;
pub mod test_cards;

use std::sync::Arc;
use std::time::Duration;

use process::shutdown;

use crate::RunError;
use crate::host::Host;
use crate::tls::TrustStore;
use api::Api;
use callbacks::CallbackSender;
use service::Provider;
pub use settings::ProviderSettings;

/// At shutdown, callbacks that are on their way.
const FINISH: Duration = Duration::from_secs(2);

/// Runs until the host stops.
pub async fn run(host: &Host, settings: ProviderSettings) -> Result<(), RunError> {
    if settings.payment_webhook_secret.is_none() {
        tracing::warn!("PAYMENT_WEBHOOK_SECRET is not set: no callbacks are sent");
    }
    let trust = TrustStore::new(&settings.outgoing)?;
    let deliver = CallbackSender::new(settings.payment_webhook_secret.clone(), &trust, host.stop.clone())?;
    let provider = Provider::open(&settings.provider_journal, settings.provider_late_ms, deliver.clone())?;
    let api = Arc::new(Api {
        provider,
        latency_ms: settings.provider_latency_ms,
        latency_spread_ms: settings.provider_latency_spread_ms,
        stop: host.stop.clone(),
    });
    let answer = move |request| {
        let api = api.clone();
        async move { Some(api.answer(request).await) }
    };
    host.serve(settings.provider_listen, answer).await?;
    host.stop.cancelled().await;
    shutdown::finish("callbacks", FINISH, deliver.finish()).await;
    Ok(())
}

//! Signals, and the order in which work ends: first no new work, then what was begun is finished, then
//! the tools it needs are closed.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// From the signal to the end of the process, at most.
pub const DRAIN_SECONDS_MAX: u64 = 10;

/// Cancelled by SIGTERM or SIGINT.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down: no new work, finishing what was begun");
        cancel.cancel();
    });
    Ok(token)
}

/// Waits for `work`, but not longer than the rest of the drain allows; says what did not finish.
pub async fn finish(name: &str, limit: Duration, work: impl Future<Output = ()>) {
    if tokio::time::timeout(limit, work).await.is_err() {
        tracing::warn!(what = name, limit_ms = limit.as_millis() as u64, "did not finish in time");
    }
}

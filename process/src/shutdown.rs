//! Signals and the order of a shutdown: the process stops accepting work, then finishes running work, and then closes
//! the clients that the work needs.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The maximum duration from the signal to the end of the process, in seconds.
pub const DRAIN_SECONDS_MAX: u64 = 10;

/// Returns a token that SIGTERM and SIGINT cancel.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down: no new work is accepted, running work finishes");
        cancel.cancel();
    });
    Ok(token)
}

/// Waits for `work` for at most `limit`, and logs a warning if it does not finish in time.
pub async fn finish(name: &str, limit: Duration, work: impl Future<Output = ()>) {
    if tokio::time::timeout(limit, work).await.is_err() {
        tracing::warn!(
            what = name,
            limit_ms = limit.as_millis() as u64,
            "shutdown step did not finish in time"
        );
    }
}

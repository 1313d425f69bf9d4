//! How long to wait before trying again: short at first, never long.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
const SAY_EACH: u32 = 10;

/// Doubles with each failure, from 50 ms to 1 s (or the bound given).
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(LONGEST)
    }
}

impl Backoff {
    /// With another bound.
    pub fn up_to(longest: Duration) -> Self {
        Self { next: FIRST.min(longest), longest, failures: 0 }
    }
    /// The next pause.
    pub fn advance(&mut self) -> Duration {
        let pause = self.next;
        self.failures += 1;
        self.next = (pause * 2).min(self.longest);
        pause
    }
    /// It worked: begin anew.
    pub fn reset(&mut self) {
        *self = Self::up_to(self.longest);
    }
    /// Whether this failure is worth a line in the log: the first one and each tenth after it. A missing
    /// dependency is said, not shouted.
    pub fn should_log(&self) -> bool {
        self.failures.is_multiple_of(SAY_EACH)
    }
    /// Waits, unless `stop` comes first; then false.
    pub async fn pause(&mut self, stop: &CancellationToken) -> bool {
        let pause = self.advance();
        stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }
}

/// Tries until it works or `stop` comes (then `None`).
pub async fn retry<T, E, F>(
    what: &'static str,
    stop: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Option<T>
where
    E: std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let mut backoff = Backoff::default();
    loop {
        match stop.run_until_cancelled(attempt()).await? {
            Ok(done) => return Some(done),
            Err(error) if backoff.should_log() => tracing::warn!(what, %error, "waiting, trying again"),
            Err(_) => {}
        }
        if !backoff.pause(stop).await {
            return None;
        }
    }
}

//! Exponential backoff with jitter: the delay before a retry is short at first and never long. Jitter spreads the
//! retries of many clients that failed at the same moment.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const DELAY_MIN: Duration = Duration::from_millis(50);
const DELAY_MAX: Duration = Duration::from_secs(1);
/// One in this many failures is logged.
const LOG_EVERY: u32 = 10;

/// The delays between the attempts of an operation. They double with each failure, from 50 ms to 1 s (or another
/// maximum); each is shortened by a random amount of up to half.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    max: Duration,
    failures: u32,
    jitter: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(DELAY_MAX)
    }
}

impl Backoff {
    /// Creates a backoff with another maximum delay.
    pub fn up_to(max: Duration) -> Self {
        Self { next: DELAY_MIN.min(max), max, failures: 0, jitter: true }
    }

    /// Removes the jitter, for operations that never run in several processes at once.
    pub fn without_jitter(self) -> Self {
        Self { jitter: false, ..self }
    }

    /// Counts a failure and returns the delay before the next attempt.
    pub fn advance(&mut self) -> Duration {
        let delay = self.next;
        self.failures += 1;
        self.next = (delay * 2).min(self.max);
        if self.jitter { delay.mul_f64(0.5 + 0.5 * fastrand::f64()) } else { delay }
    }

    /// Starts again with the shortest delay, after a success.
    pub fn reset(&mut self) {
        *self = Self { jitter: self.jitter, ..Self::up_to(self.max) };
    }

    /// Returns whether to log the current failure: the first one and every tenth after it, so that an unavailable
    /// dependency does not flood the log.
    pub fn should_log(&self) -> bool {
        self.failures.is_multiple_of(LOG_EVERY)
    }

    /// Waits for the next delay. Returns false if `stop` was cancelled first.
    pub async fn pause(&mut self, stop: &CancellationToken) -> bool {
        let delay = self.advance();
        stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_some()
    }
}

/// Retries an operation until it succeeds. Returns `None` if `stop` was cancelled first. `what` names the operation
/// in the log.
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
            Err(error) if backoff.should_log() => tracing::warn!(what, %error, "operation failed, retrying"),
            Err(_) => {}
        }
        if !backoff.pause(stop).await {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_jitter_shortens_them_by_at_most_half() {
        let mut backoff = Backoff::up_to(Duration::from_millis(300));
        for full_ms in [50, 100, 200, 300, 300] {
            let full = Duration::from_millis(full_ms);
            let delay = backoff.advance();
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.advance() <= DELAY_MIN);
    }

    #[test]
    fn the_first_failure_and_every_tenth_are_logged() {
        let mut backoff = Backoff::default();
        let logged: Vec<usize> = (0..21)
            .filter(|_| {
                let log = backoff.should_log();
                backoff.advance();
                log
            })
            .collect();
        assert_eq!(logged, [0, 10, 20]);
    }
}

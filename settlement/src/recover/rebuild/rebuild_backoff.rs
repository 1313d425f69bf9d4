//! When an attempt may begin: one at a time per sale, and with exponential backoff after a failure. There is another
//! exponential backoff when a rebuild succeeds but is needed again soon (a Redis that keeps losing its state), so that
//! the sale does not spend its time on rebuilds. A request of an operator waits for neither.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use contract::ids::SaleId;

use process::backoff::Backoff;

/// The longest backoff after a failed attempt.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// The backoff while Redis is down: no epoch begins, and the sale should reopen soon after Redis is up again.
const REDIS_PAUSE: Duration = Duration::from_millis(250);
/// The minimum interval between two attempts for an operator's request, after a failure.
const OPERATOR_PAUSE: Duration = Duration::from_secs(1);
/// The backoff before the second of two rebuilds in a row; it doubles with each further one.
const REPEAT_FIRST: Duration = Duration::from_secs(1);
/// The maximum of that backoff.
const REPEAT_MAX: Duration = Duration::from_secs(30);
/// A sale that has been ready for this duration since its last rebuild starts again without backoff.
const RESET_AFTER: Duration = Duration::from_secs(60);

/// The cause of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebuildCause {
    /// An operator has requested it: it begins at once.
    Operator,
    /// The sale was ready, and its state in Redis is proven to be lost or wrong.
    StateLost,
    /// The sale has never been ready, or an attempt has not finished.
    Unfinished,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The sale is ready.
    Ready,
    /// Redis is down: no epoch was begun.
    NoRedis,
    /// The attempt failed and must be repeated.
    Failed,
}

/// The backoff of all sales that this process has rebuilt.
#[derive(Default)]
pub struct RebuildBackoff(HashMap<SaleId, SaleBackoff>);

struct SaleBackoff {
    running: bool,
    failures: Backoff,
    /// After a failure, the earliest time of the next attempt.
    retry_at: Option<Instant>,
    ended_at: Option<Instant>,
    ready_at: Option<Instant>,
    /// The backoff of the next rebuild after a state loss, counted from `ready_at`.
    repeat_after: Duration,
}

impl SaleBackoff {
    fn new() -> Self {
        Self {
            running: false,
            // Only one process at a time rebuilds a sale, so attempts never coincide.
            failures: Backoff::up_to(RETRY_MAX).without_jitter(),
            retry_at: None,
            ended_at: None,
            ready_at: None,
            repeat_after: Duration::ZERO,
        }
    }

    fn may_begin(&self, cause: RebuildCause, now: Instant) -> bool {
        let has_passed = |since: Option<Instant>, pause| since.is_none_or(|since| now >= since + pause);
        let may_retry = self.retry_at.is_none_or(|at| now >= at);
        match cause {
            RebuildCause::Operator => may_retry || has_passed(self.ended_at, OPERATOR_PAUSE),
            RebuildCause::Unfinished => may_retry,
            RebuildCause::StateLost => may_retry && has_passed(self.ready_at, self.repeat_after),
        }
    }
}

impl RebuildBackoff {
    /// Begins an attempt if it may begin now. Returns whether it has begun.
    pub fn begin(&mut self, sale: &SaleId, cause: RebuildCause, now: Instant) -> bool {
        let this = self.0.entry(sale.clone()).or_insert_with(SaleBackoff::new);
        if this.running || !this.may_begin(cause, now) {
            return false;
        }
        this.running = true;
        if cause == RebuildCause::StateLost {
            let is_reset = this.ready_at.is_none_or(|at| now >= at + RESET_AFTER);
            this.repeat_after =
                if is_reset { REPEAT_FIRST } else { (this.repeat_after * 2).clamp(REPEAT_FIRST, REPEAT_MAX) };
        }
        true
    }

    /// Records the outcome of an attempt.
    pub fn end(&mut self, sale: &SaleId, outcome: AttemptOutcome, now: Instant) {
        let Some(this) = self.0.get_mut(sale) else { return };
        this.running = false;
        this.ended_at = Some(now);
        this.retry_at = match outcome {
            AttemptOutcome::Ready => None,
            AttemptOutcome::NoRedis => Some(now + REDIS_PAUSE),
            AttemptOutcome::Failed => Some(now + this.failures.advance()),
        };
        if outcome == AttemptOutcome::Ready {
            this.failures.reset();
            this.ready_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale() -> SaleId {
        SaleId::parse("s").unwrap()
    }
    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    /// Begins the next attempt as early as possible, and returns when: in whole milliseconds after `from`.
    fn begin_first(backoff: &mut RebuildBackoff, cause: RebuildCause, from: Instant) -> Duration {
        let at = (0..100_000).map(|n| n * MS).find(|after| backoff.begin(&sale(), cause, from + *after));
        at.expect("an attempt may begin within 100 s")
    }

    #[test]
    fn a_sale_that_loses_its_state_repeatedly_waits_longer_each_time() {
        let (mut backoff, mut now) = (RebuildBackoff::default(), Instant::now());
        for expected in [0, 1, 2, 4, 8, 16, 30, 30] {
            let waited = begin_first(&mut backoff, RebuildCause::StateLost, now);
            assert_eq!(waited, expected * SECOND);
            now += waited + 4 * SECOND;
            backoff.end(&sale(), AttemptOutcome::Ready, now);
        }
        now += RESET_AFTER;
        assert_eq!(begin_first(&mut backoff, RebuildCause::StateLost, now), Duration::ZERO);
        backoff.end(&sale(), AttemptOutcome::Ready, now);
        assert_eq!(
            begin_first(&mut backoff, RebuildCause::StateLost, now),
            SECOND,
            "the backoff starts again"
        );
    }

    #[test]
    fn a_request_of_an_operator_waits_only_for_the_running_attempt() {
        let (mut backoff, now) = (RebuildBackoff::default(), Instant::now());
        for _ in 0..5 {
            assert!(backoff.begin(&sale(), RebuildCause::Operator, now));
            assert!(!backoff.begin(&sale(), RebuildCause::Operator, now), "one at a time");
            backoff.end(&sale(), AttemptOutcome::Ready, now);
        }
        for _ in 0..10 {
            let _ = begin_first(&mut backoff, RebuildCause::Unfinished, now);
            backoff.end(&sale(), AttemptOutcome::Failed, now);
        }
        assert_eq!(begin_first(&mut backoff, RebuildCause::Operator, now), OPERATOR_PAUSE);
        backoff.end(&sale(), AttemptOutcome::Ready, now);
        assert_eq!(
            begin_first(&mut backoff, RebuildCause::StateLost, now),
            Duration::ZERO,
            "an operator's rebuild does not count towards the backoff"
        );
    }

    #[test]
    fn failures_back_off_exponentially_and_a_redis_outage_does_not() {
        let (mut backoff, now) = (RebuildBackoff::default(), Instant::now());
        for expected in [0, 50, 100, 200] {
            assert_eq!(begin_first(&mut backoff, RebuildCause::Unfinished, now), expected * MS);
            backoff.end(&sale(), AttemptOutcome::Failed, now);
        }
        for expected in [400, 250, 250] {
            assert_eq!(begin_first(&mut backoff, RebuildCause::StateLost, now), expected * MS);
            backoff.end(&sale(), AttemptOutcome::NoRedis, now);
        }
    }
}

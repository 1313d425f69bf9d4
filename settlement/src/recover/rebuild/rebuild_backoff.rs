//! When an attempt may begin. One at a time a sale; after a failure a growing pause; and where a rebuild
//! succeeds but is needed again at once (a Redis that keeps forgetting), a growing pause too, so that the
//! sale does not spend its customers' patience on rebuilds. An operator's word waits for neither.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use contract::ids::SaleId;

use process::backoff::Backoff;

/// Longest pause after a failed attempt.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// While there is no Redis nothing is begun, and the sale shall reopen soon after it is back.
const REDIS_PAUSE: Duration = Duration::from_millis(250);
/// An operator's attempt that fails is not repeated faster than this.
const OPERATOR_PAUSE: Duration = Duration::from_secs(1);
/// Before the second of two rebuilds that were needed one after the other; doubled by each further one …
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// … up to this.
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// A sale that has sold for so long since its last rebuild begins anew.
const QUIET: Duration = Duration::from_secs(60);

/// Who wants the rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// An operator asked: it goes at once.
    Operator,
    /// The sale was ready, and is proven not to be what it should be.
    Found,
    /// The sale has never been ready, or an attempt has not ended.
    Unfinished,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The sale sells.
    Ready,
    /// No epoch was taken: there is no Redis.
    NoRedis,
    /// It has to be done again.
    Failed,
}

/// All sales that were rebuilt here.
#[derive(Default)]
pub struct RebuildBackoff(HashMap<SaleId, Sale>);

struct Sale {
    running: bool,
    failures: Backoff,
    /// After a failure, nothing before this.
    retry_at: Option<Instant>,
    ended_at: Option<Instant>,
    ready_at: Option<Instant>,
    /// What the next rebuild of a ready sale waits for, from `ready_at` on.
    again: Duration,
}

impl Sale {
    fn new() -> Self {
        Self {
            running: false,
            failures: Backoff::up_to(RETRY_MAX),
            retry_at: None,
            ended_at: None,
            ready_at: None,
            again: Duration::ZERO,
        }
    }

    fn may_begin(&self, wanted: Wanted, now: Instant) -> bool {
        let over = |since: Option<Instant>, pause| since.is_none_or(|since| now >= since + pause);
        let retry = self.retry_at.is_none_or(|at| now >= at);
        match wanted {
            Wanted::Operator => retry || over(self.ended_at, OPERATOR_PAUSE),
            Wanted::Unfinished => retry,
            Wanted::Found => retry && over(self.ready_at, self.again),
        }
    }
}

impl RebuildBackoff {
    /// Whether an attempt may begin; then it has.
    pub fn begin(&mut self, sale: &SaleId, wanted: Wanted, now: Instant) -> bool {
        let this = self.0.entry(sale.clone()).or_insert_with(Sale::new);
        if this.running || !this.may_begin(wanted, now) {
            return false;
        }
        this.running = true;
        if wanted == Wanted::Found {
            let quiet = this.ready_at.is_none_or(|at| now >= at + QUIET);
            this.again = if quiet { AGAIN_FIRST } else { (this.again * 2).clamp(AGAIN_FIRST, AGAIN_MAX) };
        }
        true
    }

    /// An attempt has ended.
    pub fn end(&mut self, sale: &SaleId, how: Ended, now: Instant) {
        let Some(this) = self.0.get_mut(sale) else { return };
        this.running = false;
        this.ended_at = Some(now);
        this.retry_at = match how {
            Ended::Ready => None,
            Ended::NoRedis => Some(now + REDIS_PAUSE),
            Ended::Failed => Some(now + this.failures.advance()),
        };
        if how == Ended::Ready {
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

    /// When the next attempt may begin, in whole milliseconds after `from`.
    fn first(pace: &mut RebuildBackoff, wanted: Wanted, from: Instant) -> Duration {
        let at = (0..100_000).map(|n| n * MS).find(|after| pace.begin(&sale(), wanted, from + *after));
        at.expect("it may begin some time")
    }

    #[test]
    fn a_sale_that_is_lost_again_at_once_waits_longer_each_time_until_it_was_quiet() {
        let (mut pace, mut now) = (RebuildBackoff::default(), Instant::now());
        for expected in [0, 1, 2, 4, 8, 16, 30, 30] {
            let waited = first(&mut pace, Wanted::Found, now);
            assert_eq!(waited, expected * SECOND);
            now += waited + 4 * SECOND;
            pace.end(&sale(), Ended::Ready, now);
        }
        now += QUIET;
        assert_eq!(first(&mut pace, Wanted::Found, now), Duration::ZERO);
        pace.end(&sale(), Ended::Ready, now);
        assert_eq!(first(&mut pace, Wanted::Found, now), SECOND, "it begins anew");
    }

    #[test]
    fn an_operator_waits_for_nothing_but_the_attempt_that_runs() {
        let (mut pace, now) = (RebuildBackoff::default(), Instant::now());
        for _ in 0..5 {
            assert!(pace.begin(&sale(), Wanted::Operator, now));
            assert!(!pace.begin(&sale(), Wanted::Operator, now), "one at a time");
            pace.end(&sale(), Ended::Ready, now);
        }
        for _ in 0..10 {
            let _ = first(&mut pace, Wanted::Unfinished, now);
            pace.end(&sale(), Ended::Failed, now);
        }
        assert_eq!(first(&mut pace, Wanted::Operator, now), OPERATOR_PAUSE);
        pace.end(&sale(), Ended::Ready, now);
        assert_eq!(
            first(&mut pace, Wanted::Found, now),
            Duration::ZERO,
            "an operator's rebuild counts for nothing"
        );
    }

    #[test]
    fn failures_pause_longer_and_a_missing_redis_never_long() {
        let (mut pace, now) = (RebuildBackoff::default(), Instant::now());
        for expected in [0, 50, 100, 200] {
            assert_eq!(first(&mut pace, Wanted::Unfinished, now), expected * MS);
            pace.end(&sale(), Ended::Failed, now);
        }
        for expected in [400, 250, 250] {
            assert_eq!(first(&mut pace, Wanted::Found, now), expected * MS);
            pace.end(&sale(), Ended::NoRedis, now);
        }
    }
}

//! Open-loop arrivals: customers arrive at scheduled times, regardless of how the server responds.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// The timer's resolution. Arrivals of the same tick start together; each latency is counted from its own
/// scheduled time.
const TICK: Duration = Duration::from_millis(1);
/// The interval of progress reports.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Starts `count` customers at even intervals over `within`, and waits until all of them have finished.
/// `customer` receives a number and the scheduled time of arrival; `on_progress` receives the number of
/// customers that have finished.
pub async fn run<F, C>(count: u64, within: Duration, on_progress: impl Fn(u64), customer: C)
where
    F: Future<Output = ()> + Send + 'static,
    C: Fn(u64, Instant) -> F,
{
    let begun = Instant::now();
    let every = within.as_secs_f64() / count.max(1) as f64;
    let mut running = JoinSet::new();
    let mut next = 0;
    let mut reported = begun;
    while next < count {
        let due = ((begun.elapsed().as_secs_f64() / every) as u64 + 1).min(count);
        while next < due {
            let intended = begun + Duration::from_secs_f64(next as f64 * every);
            running.spawn(customer(next, intended));
            next += 1;
        }
        while running.try_join_next().is_some() {}
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            on_progress(next - running.len() as u64);
        }
        tokio::time::sleep(TICK).await;
    }
    let mut report = tokio::time::interval(REPORT_EVERY);
    loop {
        tokio::select! {
            finished = running.join_next() => if finished.is_none() { break },
            _ = report.tick() => on_progress(next - running.len() as u64),
        }
    }
    on_progress(count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test]
    async fn every_customer_arrives_once_and_not_before_the_scheduled_time() {
        let arrived = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&arrived);
        let reported = AtomicU64::new(0);
        let begun = Instant::now();
        run(
            500,
            Duration::from_millis(50),
            |finished| reported.store(finished, Ordering::Relaxed),
            move |_, intended| {
                let counted = Arc::clone(&counted);
                assert!(intended <= Instant::now());
                async move {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            },
        )
        .await;
        assert_eq!(arrived.load(Ordering::Relaxed), 500);
        assert_eq!(reported.load(Ordering::Relaxed), 500);
        assert!(begun.elapsed() >= Duration::from_millis(49));
    }
}

//! Open-loop arrivals: customers come at their own times, whatever the server does.

use std::future::Future;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::task::JoinSet;

/// The timer's resolution: arrivals of the same tick start together, each counted from its own time.
const TICK: Duration = Duration::from_millis(1);
/// How often the live line is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// Starts `count` customers at even distances over `within`, and waits until all have come to their
/// end. `customer` is given a number and the intended time of arrival.
pub async fn run<F, C>(
    count: u64,
    within: Duration,
    line: &ProgressBar,
    show: impl Fn(&ProgressBar),
    customer: C,
) where
    F: Future<Output = ()> + Send + 'static,
    C: Fn(u64, Instant) -> F,
{
    let begun = Instant::now();
    let every = within.as_secs_f64() / count.max(1) as f64;
    let mut running = JoinSet::new();
    let mut next = 0;
    let mut drawn = begun;
    while next < count {
        let due = ((begun.elapsed().as_secs_f64() / every) as u64 + 1).min(count);
        while next < due {
            let intended = begun + Duration::from_secs_f64(next as f64 * every);
            running.spawn(customer(next, intended));
            next += 1;
        }
        while running.try_join_next().is_some() {}
        if drawn.elapsed() >= REDRAW {
            drawn = Instant::now();
            line.set_position(next - running.len() as u64);
            show(line);
        }
        tokio::time::sleep(TICK).await;
    }
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            ended = running.join_next() => if ended.is_none() { break },
            _ = redraw.tick() => {
                line.set_position(next - running.len() as u64);
                show(line);
            }
        }
    }
    line.set_position(count);
    show(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test]
    async fn every_customer_comes_once_and_not_before_its_time() {
        let seen = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&seen);
        let begun = Instant::now();
        run(
            500,
            Duration::from_millis(50),
            &ProgressBar::hidden(),
            |_| {},
            move |_, intended| {
                let counted = Arc::clone(&counted);
                assert!(intended <= Instant::now());
                async move {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            },
        )
        .await;
        assert_eq!(seen.load(Ordering::Relaxed), 500);
        assert!(begun.elapsed() >= Duration::from_millis(49));
    }
}

//! Latencies, counted from the scheduled time of sending: a server that stalls also delays the requests
//! queued behind it, and these delays count (Gil Tene, "How NOT to Measure Latency").

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency recorded, in microseconds; a longer one counts as this.
const LATENCY_US_MAX: u64 = 120_000_000;

/// A histogram of microseconds with three significant digits.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // The library accepts these constants: 1 < max, and 3 digits <= 5.
        Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("constant bounds"))
    }
}

impl Latencies {
    /// Records a latency.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record((latency.as_micros() as u64).clamp(1, LATENCY_US_MAX));
    }

    /// Returns the number of recorded latencies.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the latency at a percentile from 0 to 100, in milliseconds; 0 when nothing was recorded.
    pub fn ms_at(&self, percentile: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.value_at_percentile(percentile) as f64 / 1000.0 }
    }

    /// Returns the highest latency in milliseconds.
    pub fn ms_max(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }

    /// Adds the latencies of another histogram.
    pub fn add(&mut self, other: &Self) {
        // This fails only when the bounds differ, and they are equal.
        let _ = self.0.add(&other.0);
    }

    /// Returns `p50 1.2 · p99 3.4 · p99.9 5.6 · max 7.8 ms`, or a dash when nothing was recorded.
    pub fn summary(&self) -> String {
        if self.0.is_empty() {
            return "–".into();
        }
        let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|p| self.ms_at(p));
        format!("p50 {} · p99 {} · p99.9 {} · max {} ms", ms(p50), ms(p99), ms(p999), ms(self.ms_max()))
    }
}

/// Formats milliseconds with a decimal below 100.
pub fn ms(ms: f64) -> String {
    if ms >= 100.0 { format!("{ms:.0}") } else { format!("{ms:.1}") }
}

/// The counts of one second of a run.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// The number of 202 responses.
    pub accepted: u64,
    /// The number of definite refusals.
    pub refused: u64,
    /// The number of 429, 503 and 500 responses and of broken connections.
    pub failed: u64,
    /// The latencies of all responses.
    pub latencies: Latencies,
}

/// A run, second by second of the scheduled sending times.
#[derive(Debug, Clone, Default)]
pub struct Series(pub Vec<Second>);

impl Series {
    /// The number of seconds kept; the last one also counts everything after it.
    const SECONDS_MAX: usize = 3600;

    /// Returns the second that contains a time since the start.
    pub fn second_at(&mut self, since_start: Duration) -> &mut Second {
        let index = (since_start.as_secs() as usize).min(Self::SECONDS_MAX - 1);
        if self.0.len() <= index {
            self.0.resize_with(index + 1, Second::default);
        }
        &mut self.0[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let mut latencies = Latencies::default();
        (1..=10_000).for_each(|us| latencies.record(Duration::from_micros(us)));
        assert!((latencies.ms_at(50.0) - 5.0).abs() < 0.01, "{}", latencies.ms_at(50.0));
        assert!((latencies.ms_at(99.9) - 9.99).abs() < 0.02);
        assert_eq!(latencies.count(), 10_000);
        latencies.record(Duration::from_secs(1000));
        assert!(latencies.ms_max() >= 120_000.0);
        assert_eq!(Latencies::default().summary(), "–");
    }
}

//! The number of order requests that are being processed.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts requests while they are being processed.
#[derive(Debug, Default)]
pub struct InFlight {
    requests: AtomicU64,
}

/// Counts one request until it is dropped.
pub struct InFlightGuard<'a> {
    requests: &'a AtomicU64,
}

impl InFlight {
    /// Counts a request for as long as the guard lives.
    pub fn enter(&self) -> InFlightGuard<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        InFlightGuard { requests: &self.requests }
    }

    /// Returns the number of requests that are being processed now.
    pub fn count(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_until_its_guard_is_dropped() {
        let in_flight = InFlight::default();
        let (first, second) = (in_flight.enter(), in_flight.enter());
        assert_eq!(in_flight.count(), 2);
        drop(first);
        assert_eq!(in_flight.count(), 1);
        drop(second);
        assert_eq!(in_flight.count(), 0);
    }
}

//! CLOCK_BOOTTIME: a monotonic clock that includes the time during which the machine is suspended, so that a lease
//! cannot outlive its duration because a process or the machine was stopped.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine booted, including suspended time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Boottime(pub u64);

impl Boottime {
    /// Returns the current time.
    pub fn now() -> Self {
        let t = clock_gettime(ClockId::Boottime);
        Self(t.tv_sec as u64 * 1000 + t.tv_nsec as u64 / 1_000_000)
    }
    /// Returns this time plus a number of milliseconds.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0 + ms)
    }
    /// Returns the milliseconds from `earlier` to this time; 0 if it is not earlier.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

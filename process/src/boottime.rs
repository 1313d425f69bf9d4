//! CLOCK_BOOTTIME: goes on while the machine sleeps and never goes back, so that a lease cannot
//! outlive its time because a process or a machine was stopped.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine started, sleep included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boottime(pub u64);

impl Boottime {
    /// Now.
    pub fn now() -> Self {
        let t = clock_gettime(ClockId::Boottime);
        Self(t.tv_sec as u64 * 1000 + t.tv_nsec as u64 / 1_000_000)
    }
    /// Later by so much.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0 + ms)
    }
    /// Milliseconds from `earlier` to this; 0 if it is not earlier.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

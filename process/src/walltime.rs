//! The machine's wall clock, for what is told to people or compared with other machines' clocks within a
//! stated margin. Leases are measured by [`crate::boottime`], windows by Redis.

use std::time::SystemTime;

use contract::timestamp::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    Timestamp(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64)
}

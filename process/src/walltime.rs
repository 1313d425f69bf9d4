//! The machine's wall clock, for timestamps that are shown to people or compared with other machines' clocks within a
//! documented tolerance. Leases use [`crate::boottime`]; windows of sales use Redis TIME.

use std::time::SystemTime;

use contract::timestamp::Timestamp;

/// Returns the current time.
pub fn now() -> Timestamp {
    Timestamp(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64)
}

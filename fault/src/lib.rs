//! Fault injection: failpoints at which the process kills or stops itself, and protections that can be removed.
//! `./dev chaos` uses failpoints to interrupt steps that timing alone would not hit, and removed protections to show
//! that the checker detects their absence (mutation testing).
//!
//! Without the feature `enabled`, every macro expands to nothing, so a release binary contains neither the code nor
//! the names (`.ci/run` checks this). With it, the variable `FLASHSALE_FAULTS` lists the faults, separated by commas:
//!
//! - `gateway.after_reserve=kill@37`: sends SIGKILL to its own process when it passes this point for the 37th time
//! - `settlement.before_commit=stop@3`: sends SIGSTOP, which lasts until SIGCONT
//! - `without:lease_check`: removes this protection
//!
//! `FLASHSALE_FAULTS_ONCE` names a file. Of all processes that have the same value, only the one that creates the file
//! is hit.

#[cfg(feature = "enabled")]
mod plan;

#[cfg(feature = "enabled")]
pub use plan::{hit, is_removed, rewrite};

/// Marks a failpoint.
#[cfg(feature = "enabled")]
#[macro_export]
macro_rules! point {
    ($name:literal) => {
        $crate::hit($name)
    };
}

/// Marks a failpoint.
#[cfg(not(feature = "enabled"))]
#[macro_export]
macro_rules! point {
    ($name:literal) => {{}};
}

/// Returns whether a protection is removed.
#[cfg(feature = "enabled")]
#[macro_export]
macro_rules! removed {
    ($name:literal) => {
        $crate::is_removed($name)
    };
}

/// Returns whether a protection is removed.
#[cfg(not(feature = "enabled"))]
#[macro_export]
macro_rules! removed {
    ($name:literal) => {
        false
    };
}

/// Returns the text of a script or query, without a protection if that is removed.
#[cfg(feature = "enabled")]
#[macro_export]
macro_rules! rewritten {
    ($name:literal, $text:expr, $($from:literal => $to:literal),+) => {
        $crate::rewrite($name, $text, &[$(($from, $to)),+])
    };
}

/// Returns the text of a script or query, without a protection if that is removed.
#[cfg(not(feature = "enabled"))]
#[macro_export]
macro_rules! rewritten {
    ($name:literal, $text:expr, $($from:literal => $to:literal),+) => {
        ::std::borrow::Cow::<'_, str>::Borrowed($text)
    };
}

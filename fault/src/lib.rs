//! Places at which a process of ours can be made to die or to stand still, and protections that can be
//! taken away: how `./dev chaos` hits a step that no timing would hit, and how the checker's own power is
//! shown.
//!
//! Without the feature `enabled` every macro expands to nothing, so a release binary holds neither the
//! code nor the names (`.ci/run` looks). With it, the variable `FLASHSALE_FAULTS` says what
//! happens, as words separated by commas:
//!
//! - `gateway.after_reserve=kill@37`: SIGKILL to the own process when that point is passed for the 37th time
//! - `settlement.before_commit=stop@3`: SIGSTOP, until somebody sends SIGCONT
//! - `without:lease_check`: that protection is off
//!
//! `FLASHSALE_FAULTS_ONCE` names a file: of all processes that are told of it, only the one that makes it is hit.

#[cfg(feature = "enabled")]
mod plan;

#[cfg(feature = "enabled")]
pub use plan::{hit, is_removed, rewrite};

/// A place that can be hit.
#[cfg(feature = "enabled")]
#[macro_export]
macro_rules! point {
    ($name:literal) => {
        $crate::hit($name)
    };
}

/// A place that can be hit.
#[cfg(not(feature = "enabled"))]
#[macro_export]
macro_rules! point {
    ($name:literal) => {{}};
}

/// Whether a protection was taken away.
#[cfg(feature = "enabled")]
#[macro_export]
macro_rules! removed {
    ($name:literal) => {
        $crate::is_removed($name)
    };
}

/// Whether a protection was taken away.
#[cfg(not(feature = "enabled"))]
#[macro_export]
macro_rules! removed {
    ($name:literal) => {
        false
    };
}

/// A text (of a script or a query), without the part of it that is a protection if that was taken away.
#[cfg(feature = "enabled")]
#[macro_export]
macro_rules! rewritten {
    ($name:literal, $text:expr, $($from:literal => $to:literal),+) => {
        $crate::rewrite($name, $text, &[$(($from, $to)),+])
    };
}

/// A text (of a script or a query), without the part of it that is a protection if that was taken away.
#[cfg(not(feature = "enabled"))]
#[macro_export]
macro_rules! rewritten {
    ($name:literal, $text:expr, $($from:literal => $to:literal),+) => {
        ::std::borrow::Cow::<'_, str>::Borrowed($text)
    };
}

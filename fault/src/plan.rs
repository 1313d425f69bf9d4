//! Parses `FLASHSALE_FAULTS` and injects the faults.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

const VARIABLE: &str = "FLASHSALE_FAULTS";
/// The variable with the file that the first hit creates. Of all processes that share it, only that one is hit.
const ONCE: &str = "FLASHSALE_FAULTS_ONCE";

#[derive(Debug, Default)]
struct Plan {
    hits: Vec<Hit>,
    without: Vec<String>,
}

#[derive(Debug)]
struct Hit {
    point: String,
    signal: Signal,
    /// The number of the passage at which the signal is sent, from 1.
    at: u64,
    passed: AtomicU64,
}

impl Plan {
    /// Parses the variable. An invalid fault is an error of the test harness: the process must not run without it.
    fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for fault in text.split(',').map(str::trim).filter(|fault| !fault.is_empty()) {
            let bad =
                || format!("{VARIABLE}: {fault:?} is neither point=kill@n, point=stop@n nor without:name");
            if let Some(name) = fault.strip_prefix("without:") {
                plan.without.push(name.to_owned());
                continue;
            }
            let (point, what) = fault.split_once('=').ok_or_else(bad)?;
            let (action, at) = what.split_once('@').ok_or_else(bad)?;
            let signal = match action {
                "kill" => Signal::KILL,
                "stop" => Signal::STOP,
                _ => return Err(bad()),
            };
            let at = at.parse().map_err(|_| bad())?;
            plan.hits.push(Hit { point: point.to_owned(), signal, at, passed: AtomicU64::new(0) });
        }
        Ok(plan)
    }
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| match Plan::parse(&std::env::var(VARIABLE).unwrap_or_default()) {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("{why}");
            #[expect(clippy::disallowed_methods, reason = "a failpoint must not fail unnoticed")]
            std::process::exit(2);
        }
    })
}

/// Passes a failpoint. The process receives its signal at the planned passage.
pub fn hit(point: &str) {
    for hit in plan().hits.iter().filter(|hit| hit.point == point) {
        if hit.passed.fetch_add(1, Ordering::Relaxed) + 1 == hit.at && is_first() {
            eprintln!("fault: {:?} at {point}, passage {}", hit.signal, hit.at);
            let sent = kill_process(getpid(), hit.signal);
            // The signal may reach this thread a moment after the call returns.
            #[expect(clippy::disallowed_methods, reason = "the process is being stopped by a signal")]
            std::thread::sleep(Duration::from_millis(20));
            if let Err(error) = sent {
                eprintln!("fault: cannot send the signal: {error}");
            }
        }
    }
}

fn is_first() -> bool {
    std::env::var_os(ONCE).is_none_or(|file| std::fs::File::create_new(file).is_ok())
}

/// Returns whether a protection is removed.
pub fn is_removed(protection: &str) -> bool {
    plan().without.iter().any(|name| name == protection)
}

/// Returns a text with these parts replaced if the protection is removed. Exits if the text does not contain a part:
/// the text has changed, and the protection would silently remain.
pub fn rewrite<'a>(protection: &str, text: &'a str, parts: &[(&str, &str)]) -> Cow<'a, str> {
    if !is_removed(protection) {
        return Cow::Borrowed(text);
    }
    let mut rewritten = text.to_owned();
    for (from, to) in parts {
        if !rewritten.contains(from) {
            eprintln!("fault: {protection}: {from:?} is not in the text");
            #[expect(clippy::disallowed_methods, reason = "a failpoint must not fail unnoticed")]
            std::process::exit(2);
        }
        rewritten = rewritten.replace(from, to);
    }
    Cow::Owned(rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_parsed_and_an_invalid_fault_is_rejected() {
        let plan = Plan::parse("a.b=kill@3, c=stop@1,without:lease_check").unwrap();
        assert_eq!((plan.hits[0].point.as_str(), plan.hits[0].at), ("a.b", 3));
        assert_eq!(plan.hits[1].signal, Signal::STOP);
        assert_eq!(plan.without, ["lease_check"]);
        for bad in ["a", "a=kill", "a=kill@x", "a=hang@1"] {
            assert!(Plan::parse(bad).is_err(), "{bad}");
        }
        assert!(Plan::parse("").unwrap().hits.is_empty());
    }
}

//! What `FLASHSALE_FAULTS` says, and doing it.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

const VARIABLE: &str = "FLASHSALE_FAULTS";
/// A file that whoever is hit first makes: of all processes that share it, only that one is hit.
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
    /// The passage at which it happens, from 1.
    at: u64,
    passed: AtomicU64,
}

impl Plan {
    /// A word that is none is a mistake of the harness: the process must not go on as if it were whole.
    fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let bad =
                || format!("{VARIABLE}: {word:?} is neither point=kill@n, point=stop@n nor without:name");
            if let Some(name) = word.strip_prefix("without:") {
                plan.without.push(name.to_owned());
                continue;
            }
            let (point, what) = word.split_once('=').ok_or_else(bad)?;
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

/// Passes a point; at the passage that the plan names, the process gets its signal.
pub fn hit(point: &str) {
    for hit in plan().hits.iter().filter(|hit| hit.point == point) {
        if hit.passed.fetch_add(1, Ordering::Relaxed) + 1 == hit.at && is_first() {
            eprintln!("fault: {:?} at {point}, passage {}", hit.signal, hit.at);
            let sent = kill_process(getpid(), hit.signal);
            // A signal to all threads may reach this one a moment after it returns from the call.
            #[expect(clippy::disallowed_methods, reason = "the process is being stopped by a signal")]
            std::thread::sleep(Duration::from_millis(20));
            if let Err(error) = sent {
                eprintln!("fault: cannot signal myself: {error}");
            }
        }
    }
}

fn is_first() -> bool {
    std::env::var_os(ONCE).is_none_or(|file| std::fs::File::create_new(file).is_ok())
}

/// Whether a protection was taken away.
pub fn is_removed(protection: &str) -> bool {
    plan().without.iter().any(|name| name == protection)
}

/// A text with these parts replaced if the protection was taken away. A part that is not there means that
/// the text has changed and the protection would silently stay.
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
    fn a_plan_is_read_and_a_mistake_is_refused() {
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

//! The identity of a process: its pid and its start time, because the kernel reuses pids.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use procfs::process::{Process, Stat, all_processes};
use rustix::process::{Pid, Signal, kill_process};

/// The polling interval of all waits.
pub const POLL_EVERY: Duration = Duration::from_millis(20);

/// A process, which may have exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pid: u32,
    /// The start time in clock ticks since the machine booted.
    start_ticks: u64,
}

impl Identity {
    /// Returns the process with a pid, or `None` if there is none. A zombie has exited.
    pub fn read(pid: u32) -> Option<Self> {
        let stat = stat(pid)?;
        (!matches!(stat.state, 'Z' | 'X')).then_some(Self { pid, start_ticks: stat.starttime })
    }

    /// Returns the identity of a child that was not waited for, even if it has exited.
    pub(crate) fn read_child(pid: u32) -> Option<Self> {
        Some(Self { pid, start_ticks: stat(pid)?.starttime })
    }

    /// Returns the identity of this process; `None` where `/proc` is not mounted.
    pub fn current() -> Option<Self> {
        Self::read(std::process::id())
    }

    /// Parses the text of a pid file: pid and start time.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_whitespace();
        let pid = fields.next()?.parse().ok()?;
        Some(Self { pid, start_ticks: fields.next()?.parse().ok()? })
    }

    /// Reads a pid file.
    pub fn read_file(file: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(file).ok()?)
    }

    /// Returns the pid.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Returns whether exactly this process exists, stopped or running.
    pub fn is_alive(self) -> bool {
        Self::read(self.pid) == Some(self)
    }

    /// Returns whether the process is stopped by SIGSTOP.
    pub fn is_stopped(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.state == 'T' && stat.starttime == self.start_ticks)
    }

    /// Sends a signal; it has no effect on a process that has exited.
    pub fn signal(self, signal: Signal) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid.cast_signed())
        {
            let _ = kill_process(pid, signal); // the process may exit at this moment
        }
    }

    /// Waits until the process has exited, and blocks this thread. Returns false after the time limit.
    pub fn block_until_exit(self, limit: Duration) -> bool {
        block_until(limit, || !self.is_alive())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.start_ticks)
    }
}

/// Waits until a condition holds, and blocks this thread. Returns false after the time limit.
#[expect(clippy::disallowed_methods, reason = "the binary of ./dev has no runtime")]
pub(crate) fn block_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(POLL_EVERY);
    }
    true
}

fn stat(pid: u32) -> Option<Stat> {
    Process::new(pid.cast_signed()).ok()?.stat().ok()
}

/// Returns this process and its ancestors.
fn own_ancestors() -> BTreeSet<u32> {
    let (mut pid, mut ancestors) = (std::process::id(), BTreeSet::new());
    while pid > 0 && ancestors.insert(pid) {
        pid = stat(pid).map_or(0, |stat| stat.ppid.cast_unsigned());
    }
    ancestors
}

/// A process that has a mark in its environment.
#[derive(Debug, Clone)]
pub struct MarkedProcess {
    /// The pid and start time of the process.
    pub identity: Identity,
    /// The pid of its parent.
    pub parent: u32,
    /// The value of `FLASHSALE_PROCESS`, if it is set.
    pub name: Option<String>,
}

/// The variable that names a process of a stack.
pub(crate) const NAME_MARK: &str = "FLASHSALE_PROCESS";

/// Returns the processes whose environment contains a variable with this value, except this process and its ancestors.
pub fn marked_processes(variable: &str, value: &str) -> Vec<MarkedProcess> {
    let spared = own_ancestors();
    let Ok(all) = all_processes() else { return vec![] };
    let others = all.filter_map(Result::ok).filter(|process| !spared.contains(&process.pid.cast_unsigned()));
    others
        .filter_map(|process| {
            let environment = process.environ().ok()?; // another user's process is not of this stack
            let entry = |name: &str| environment.get(name.as_ref() as &std::ffi::OsStr);
            if entry(variable)? != value {
                return None;
            }
            let identity = Identity::read(process.pid.cast_unsigned())?;
            let name = entry(NAME_MARK).and_then(|name| name.to_str()).map(str::to_owned);
            Some(MarkedProcess { identity, parent: process.stat().ok()?.ppid.cast_unsigned(), name })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_pid_is_another_process() {
        let own = Identity::current().unwrap();
        assert_eq!(Identity::parse(&own.to_string()), Some(own));
        assert!(own.is_alive() && !own.is_stopped());
        let earlier = Identity { start_ticks: own.start_ticks - 1, ..own };
        assert!(!earlier.is_alive());
        assert_eq!((Identity::parse(""), Identity::parse("12"), Identity::parse("a b")), (None, None, None));
    }
}

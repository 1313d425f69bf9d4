//! A process of the stack that was started by the harness or by `./dev`, with everything that can be done to
//! it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// The longest time until a killed process has exited.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// The longest time until a process has exited after SIGTERM.
const TERMINATION_LIMIT: Duration = Duration::from_secs(12);
/// The polling interval.
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A process that was running when it was last checked.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    /// The child handle; `None` when `./dev` started the process.
    child: Option<Child>,
}

impl Process {
    /// Starts a process and appends its output to `log`. `./dev down` also ends it, with all processes that
    /// have the stack's mark in their environment.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log);
        let output = output.with_context(|| format!("opening {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0) // Ctrl-C must reach only the harness, which ends them in order
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let pid = child.id().with_context(|| format!("{name} exited immediately"))?;
        Ok(Self { name: name.to_owned(), pid, child: Some(child) })
    }

    /// Returns a process that `./dev` has started, from its pid file.
    pub fn from_pid_file(name: &str, stack_dir: &Path) -> anyhow::Result<Self> {
        let file = stack_dir.join("run").join(format!("{name}.pid"));
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
        let pid = pid.with_context(|| format!("{} contains no pid", file.display()))?;
        Ok(Self { name: name.to_owned(), pid, child: None })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the process id and the start time, in the format of `./dev`'s pid files.
    pub fn identity(&self) -> Option<String> {
        let stat = stat(self.pid)?;
        Some(format!("{} {}", self.pid, stat.starttime))
    }

    /// Returns whether the process exists, stopped or running.
    pub fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => stat(self.pid).is_some_and(|stat| stat.state != 'Z'),
        }
    }

    /// Returns whether the process is stopped by SIGSTOP.
    pub fn is_stopped(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.state == 'T')
    }

    /// Sends a signal; it has no effect on a process that has exited.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid.cast_signed())
        {
            let _ = kill_process(pid, signal); // the process may exit at this moment
        }
    }

    /// Sends SIGKILL and waits until the process has exited.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL);
        self.wait_for_exit(KILL_LIMIT).await
    }

    /// Sends SIGTERM, and SIGKILL if the process does not exit in time.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT); // a stopped process does not receive SIGTERM
        if self.wait_for_exit(TERMINATION_LIMIT).await.is_err() {
            self.kill().await?;
        }
        Ok(())
    }

    /// Waits until the process has exited.
    pub async fn wait_for_exit(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.wait_until("exit", limit, |process| Ok(!process.is_alive())).await
    }

    /// Waits until the process has stopped itself.
    pub async fn wait_until_stopped(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.wait_until("stop", limit, |process| {
            let stopped = process.is_stopped();
            anyhow::ensure!(
                stopped || process.is_alive(),
                "{} (pid {}) exited instead of stopping",
                process.name,
                process.pid
            );
            Ok(stopped)
        })
        .await
    }

    async fn wait_until(
        &mut self,
        event: &str,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !done(self)? {
            let late = begun.elapsed() >= limit;
            anyhow::ensure!(!late, "{} (pid {}) did not {event} in {limit:?}", self.name, self.pid);
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }
}

fn stat(pid: u32) -> Option<procfs::process::Stat> {
    procfs::process::Process::new(pid.cast_signed()).ok()?.stat().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_stopped_continued_and_killed() {
        let log = std::env::temp_dir().join(format!("chaos-process-{}.log", std::process::id()));
        let mut sleeper = Process::spawn("sleeper", Command::new("sleep").arg("60"), &log).unwrap();
        assert!(sleeper.is_alive() && !sleeper.is_stopped());
        assert!(sleeper.identity().unwrap().starts_with(&sleeper.pid.to_string()));
        sleeper.signal(Signal::STOP);
        sleeper.wait_until_stopped(Duration::from_secs(5)).await.unwrap();
        assert!(sleeper.is_alive());
        sleeper.terminate().await.unwrap();
        assert!(!sleeper.is_alive());
        let mut other = Process::spawn("other", Command::new("sleep").arg("60"), &log).unwrap();
        assert!(other.wait_until_stopped(Duration::from_millis(50)).await.is_err(), "it does not stop");
        other.kill().await.unwrap();
        assert!(other.wait_until_stopped(Duration::from_secs(5)).await.is_err(), "it has exited");
        std::fs::remove_file(log).unwrap();
    }
}

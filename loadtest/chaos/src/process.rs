//! One process of the stack: started by us or by `./dev`, and everything that may be done to it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How long a killed process may take to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(10);
/// How long a process may take to end in good order.
const END_LIMIT: Duration = Duration::from_secs(12);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A process that was alive when it was last looked at.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    /// `None`: `./dev` started it, so it is nobody's child here.
    child: Option<Child>,
}

impl Process {
    /// Starts it, its output at the end of `log`. `./dev down` ends it with all others that carry the stack's
    /// mark.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log);
        let output = output.with_context(|| format!("opening {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0) // Ctrl-C is for the harness, which ends them in order
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        Ok(Self { name: name.to_owned(), pid, child: Some(child) })
    }

    /// One that `./dev` has started, by the pid file that it wrote.
    pub fn of_stack(name: &str, stack_dir: &Path) -> anyhow::Result<Self> {
        let file = stack_dir.join("run").join(format!("{name}.pid"));
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
        let pid = pid.with_context(|| format!("{} holds no pid", file.display()))?;
        Ok(Self { name: name.to_owned(), pid, child: None })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id and start time, as `./dev` writes them down.
    pub fn identity(&self) -> Option<String> {
        let stat = stat_of(self.pid)?;
        Some(format!("{} {}", self.pid, stat.get(19)?))
    }

    /// Whether it runs, or stands still.
    pub fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => state_of(self.pid).is_some_and(|state| state != 'Z'),
        }
    }

    /// Whether it stands still after SIGSTOP.
    pub fn is_stopped(&self) -> bool {
        state_of(self.pid) == Some('T')
    }

    /// Sends a signal; one that is gone already does not mind.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid.cast_signed())
        {
            let _ = kill_process(pid, signal); // it may end in this very moment
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL);
        self.until_gone(GONE_LIMIT).await
    }

    /// Asks it to end, and insists after a while.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT); // one that stands still cannot hear
        if self.until_gone(END_LIMIT).await.is_err() {
            self.kill().await?;
        }
        Ok(())
    }

    /// Waits until it is gone by itself.
    pub async fn until_gone(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.until("end", limit, |process| Ok(!process.is_alive())).await
    }

    /// Waits until it stands still by itself.
    pub async fn until_stopped(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.until("stop", limit, |process| {
            let stopped = process.is_stopped();
            anyhow::ensure!(
                stopped || process.is_alive(),
                "{} (pid {}) ended instead of stopping",
                process.name,
                process.pid
            );
            Ok(stopped)
        })
        .await
    }

    async fn until(
        &mut self,
        does: &str,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !done(self)? {
            let late = begun.elapsed() >= limit;
            anyhow::ensure!(!late, "{} (pid {}) did not {does} in {limit:?}", self.name, self.pid);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

/// Fields of `/proc/<pid>/stat` from the state on; the name before it may hold anything.
fn stat_of(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn state_of(pid: u32) -> Option<char> {
    stat_of(pid)?.first()?.chars().next()
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
        sleeper.until_stopped(Duration::from_secs(5)).await.unwrap();
        assert!(sleeper.is_alive());
        sleeper.end().await.unwrap();
        assert!(!sleeper.is_alive());
        let mut other = Process::spawn("other", Command::new("sleep").arg("60"), &log).unwrap();
        assert!(other.until_stopped(Duration::from_millis(50)).await.is_err(), "it goes on");
        other.kill().await.unwrap();
        assert!(other.until_stopped(Duration::from_secs(5)).await.is_err(), "it is gone");
        std::fs::remove_file(log).unwrap();
    }
}

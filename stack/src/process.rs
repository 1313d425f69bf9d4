//! A process that this program has started, or that `./dev` has started and recorded.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::folder::StackFolder;
use crate::identity::Identity;
use rustix::process::Signal;

/// A longer log is rotated at the next start, in bytes.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The number of lines of a log that an error contains.
const TAIL_LINES: usize = 20;

/// The reason why a process could not be started, or did not do what the caller waits for.
#[derive(Debug)]
pub enum ProcessError {
    /// The process with this name could not be started.
    Start(String, io::Error),
    /// A file of the stack could not be read or written.
    File(PathBuf, io::Error),
    /// The stack has not recorded a process with this name.
    NotRecorded(String),
    /// The process exited while the caller waited for something else.
    Exited {
        /// The name of the process.
        name: String,
        /// The last lines of its log, if it has one.
        log_tail: String,
    },
    /// The process did not do something in time.
    TimedOut {
        /// The name of the process.
        name: String,
        /// What the process should have done.
        event: &'static str,
        /// The time limit.
        limit: Duration,
        /// The last lines of its log, if it has one.
        log_tail: String,
    },
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(name, error) => write!(f, "{name} cannot be started: {error}"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotRecorded(name) => write!(f, "{name} was not started by ./dev"),
            Self::Exited { name, log_tail } => write!(f, "{name} has exited{log_tail}"),
            Self::TimedOut { name, event, limit, log_tail } => {
                write!(f, "{name} did not {event} within {limit:?}{log_tail}")
            }
        }
    }
}

impl std::error::Error for ProcessError {}

/// A process that was running when it was last checked.
#[derive(Debug)]
pub struct Process {
    name: String,
    identity: Identity,
    /// The child; `None` when another program started the process.
    child: Option<Child>,
    log: Option<PathBuf>,
    kill_on_drop: bool,
}

impl Process {
    /// Starts a child without standard input. Its output goes where `command` directs it.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self, ProcessError> {
        let failed = |error| ProcessError::Start(name.to_owned(), error);
        let child = command.stdin(Stdio::null()).spawn().map_err(failed)?;
        let identity = Identity::read_child(child.id());
        let identity = identity.ok_or_else(|| failed(io::Error::other("/proc is not mounted")))?;
        Ok(Self { name: name.to_owned(), identity, child: Some(child), log: None, kill_on_drop: false })
    }

    /// Starts a child, and appends its output to a log.
    pub fn spawn_with_log(name: &str, command: &mut Command, log: &Path) -> Result<Self, ProcessError> {
        let failed = |error| ProcessError::File(log.to_owned(), error);
        let output = open_log(log).map_err(failed)?;
        command.stdout(output.try_clone().map_err(failed)?).stderr(output);
        let mut process = Self::spawn(name, command)?;
        process.log = Some(log.to_owned());
        Ok(process)
    }

    /// Returns a process that `./dev` has started in a stack.
    pub fn recorded(name: &str, folder: &StackFolder) -> Result<Self, ProcessError> {
        let identity = folder.identity(name).ok_or_else(|| ProcessError::NotRecorded(name.to_owned()))?;
        let log = Some(folder.log(name));
        Ok(Self { name: name.to_owned(), identity, child: None, log, kill_on_drop: false })
    }

    /// Kills the process when the value is dropped.
    #[must_use]
    pub fn kill_on_drop(mut self) -> Self {
        self.kill_on_drop = true;
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the pid and the start time.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns whether the process exists, stopped or running.
    pub fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self.identity.is_alive(),
        }
    }

    /// Returns the exit status of a child that has exited.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Sends a signal; it has no effect on a process that has exited.
    pub fn signal(&self, signal: Signal) {
        self.identity.signal(signal);
    }

    /// Sends SIGKILL to a child, and blocks until it has exited.
    pub fn kill_child(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill(); // it may have exited already
            let _ = child.wait();
        }
    }

    fn log_tail(&self) -> String {
        let Some(text) = self.log.as_deref().and_then(|log| std::fs::read(log).ok()) else {
            return String::new();
        };
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        format!("; the end of its log:\n{}", lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kill_on_drop {
            self.kill_child();
        }
    }
}

/// Opens a log for appending. A log that is too long is renamed first.
pub(crate) fn open_log(log: &Path) -> io::Result<File> {
    if log.metadata().is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        let mut rotated = log.as_os_str().to_owned();
        rotated.push(".1");
        std::fs::rename(log, rotated)?;
    }
    OpenOptions::new().create(true).append(true).open(log)
}

#[cfg(feature = "tokio")]
mod waits {
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use super::{Process, ProcessError, Signal};
    use crate::identity::POLL_EVERY;
    use crate::readiness::Protocol;

    /// The longest time until a killed process has exited.
    const KILL_LIMIT: Duration = Duration::from_secs(10);
    /// The longest time until a process has exited after SIGTERM.
    const TERMINATION_LIMIT: Duration = Duration::from_secs(12);

    impl Process {
        /// Sends SIGKILL and waits until the process has exited.
        pub async fn kill(&mut self) -> Result<(), ProcessError> {
            self.signal(Signal::KILL);
            self.wait_for_exit(KILL_LIMIT).await
        }

        /// Sends SIGTERM, and SIGKILL if the process does not exit in time.
        pub async fn terminate(&mut self) -> Result<(), ProcessError> {
            self.signal(Signal::TERM);
            self.signal(Signal::CONT); // a stopped process does not handle SIGTERM
            match self.wait_for_exit(TERMINATION_LIMIT).await {
                Ok(()) => Ok(()),
                Err(_) => self.kill().await,
            }
        }

        /// Waits until the process has exited.
        pub async fn wait_for_exit(&mut self, limit: Duration) -> Result<(), ProcessError> {
            let begun = Instant::now();
            while self.is_alive() {
                self.check_limit("exit", begun, limit)?;
                tokio::time::sleep(POLL_EVERY).await;
            }
            Ok(())
        }

        /// Waits until the process has stopped itself. An exit is an error.
        pub async fn wait_until_stopped(&mut self, limit: Duration) -> Result<(), ProcessError> {
            let begun = Instant::now();
            while !self.identity.is_stopped() {
                self.check_alive()?;
                self.check_limit("stop", begun, limit)?;
                tokio::time::sleep(POLL_EVERY).await;
            }
            Ok(())
        }

        /// Waits until the process responds with a protocol. The wait ends at once when the process exits.
        pub async fn wait_until_ready(
            &mut self,
            address: SocketAddr,
            protocol: Protocol,
            limit: Duration,
        ) -> Result<(), ProcessError> {
            let begun = Instant::now();
            loop {
                self.check_alive()?;
                let probe = tokio::task::spawn_blocking(move || protocol.is_ready(address));
                if probe.await.unwrap_or(false) {
                    // Another process may respond on the address of a process that has just failed to bind it.
                    return self.check_alive();
                }
                self.check_limit("become ready", begun, limit)?;
                tokio::time::sleep(POLL_EVERY).await;
            }
        }

        fn check_alive(&mut self) -> Result<(), ProcessError> {
            if self.is_alive() {
                return Ok(());
            }
            Err(ProcessError::Exited { name: self.name.clone(), log_tail: self.log_tail() })
        }

        fn check_limit(
            &self,
            event: &'static str,
            begun: Instant,
            limit: Duration,
        ) -> Result<(), ProcessError> {
            if begun.elapsed() < limit {
                return Ok(());
            }
            let (name, log_tail) = (self.name.clone(), self.log_tail());
            Err(ProcessError::TimedOut { name, event, limit, log_tail })
        }
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("stack-process-{name}-{}.log", std::process::id()))
    }

    fn sleeper() -> Process {
        Process::spawn_with_log("sleeper", Command::new("sleep").arg("60"), &log("sleeper"))
            .expect("sleep is installed")
    }

    #[tokio::test]
    async fn a_process_is_stopped_continued_and_killed() {
        let mut first = sleeper();
        assert!(first.is_alive() && !first.identity().is_stopped());
        first.signal(Signal::STOP);
        first.wait_until_stopped(Duration::from_secs(5)).await.unwrap();
        assert!(first.is_alive());
        first.terminate().await.unwrap();
        let signal = first.exit_status().and_then(|status| status.signal());
        assert_eq!(signal, Some(Signal::TERM.as_raw()), "a stopped process handles SIGTERM");
        let mut second = sleeper();
        let late = second.wait_until_stopped(Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(late, ProcessError::TimedOut { event: "stop", .. }), "{late}");
        second.kill().await.unwrap();
        let exited = second.wait_until_stopped(Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(exited, ProcessError::Exited { .. }), "{exited}");
        std::fs::remove_file(log("sleeper")).unwrap();
    }

    #[tokio::test]
    async fn a_wait_for_readiness_ends_with_the_process_and_returns_its_log() {
        let log = log("failing");
        let mut command = Command::new("sh");
        command.args(["-c", "echo the address is in use; exit 1"]);
        let mut failing = Process::spawn_with_log("failing", &mut command, &log).unwrap();
        let address = crate::ports::claim().unwrap();
        let limit = Duration::from_secs(60);
        let error = failing.wait_until_ready(address, crate::Protocol::Redis, limit).await.unwrap_err();
        assert!(
            error.to_string().contains("failing has exited; the end of its log:\nthe address"),
            "{error}"
        );
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_process_is_killed_when_it_is_dropped_only_if_requested() {
        let (kept, killed) = (sleeper(), sleeper().kill_on_drop());
        let identities = [kept.identity(), killed.identity()];
        drop((kept, killed));
        assert_eq!(identities.map(Identity::is_alive), [true, false]);
        identities[0].signal(Signal::KILL);
    }
}

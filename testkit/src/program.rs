//! Programs as separate processes: ours, which can be stopped like by an operator or killed like by a fault, and servers
//! that only one test uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub use stack::Protocol;
use stack::{Process, ProcessError, Signal};

/// The longest time until a process is ready or has ended.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a server is started on another port, because a program outside of this repository may take its port.
const ATTEMPTS_MAX: u32 = 3;

/// A running program, which is killed when the value is dropped.
pub struct Program {
    process: Process,
}

impl Program {
    /// Starts a program that `./dev test` has built. Its logs go to the test's standard error.
    pub fn start(name: &str, args: impl IntoIterator<Item = String>) -> Self {
        Self::spawn(Command::new(built(name)).args(args).stdout(Stdio::null()))
    }

    /// Starts a program.
    pub fn spawn(command: &mut Command) -> Self {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let process = Process::spawn(&name, command).unwrap_or_else(|error| panic!("{error}"));
        Self { process: process.kill_on_drop() }
    }

    /// Returns the pid.
    pub fn pid(&self) -> u32 {
        self.process.identity().pid()
    }

    /// Returns whether the program is running.
    pub fn is_running(&mut self) -> bool {
        self.process.is_alive()
    }

    /// Waits until `/health/ready` of a listener returns 200. Fails at once when the program ends.
    pub async fn wait_until_ready(&mut self, listener: SocketAddr) {
        self.wait_until_responding(listener, Protocol::HEALTH).await;
    }

    /// Waits until the program responds with a protocol. Fails at once when it ends.
    pub async fn wait_until_responding(&mut self, listener: SocketAddr, protocol: Protocol) {
        let ready = self.process.wait_until_ready(listener, protocol, LIMIT).await;
        ready.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Sends SIGKILL, and waits until the program has ended.
    pub fn kill(&mut self) {
        self.process.kill_child();
    }

    /// Waits until the program has ended. Returns false after the time limit.
    pub async fn ends_within(&mut self, limit: Duration) -> bool {
        self.process.wait_for_exit(limit).await.is_ok()
    }

    /// Sends SIGTERM, and waits until the program has ended successfully.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        self.process.wait_for_exit(LIMIT).await.unwrap_or_else(|error| panic!("{error}"));
        let status = self.process.exit_status().expect("a child");
        assert!(status.success(), "{status}");
    }
}

/// Starts a server on a port that no other test uses, and waits until it responds.
pub async fn start_server(
    protocol: Protocol,
    mut command: impl FnMut(SocketAddr) -> Command,
) -> (Program, SocketAddr) {
    let mut attempt = 1;
    loop {
        let address = claim_address();
        let mut program = Program::spawn(&mut command(address));
        match program.process.wait_until_ready(address, protocol, LIMIT).await {
            Ok(()) => return (program, address),
            Err(ProcessError::Exited { .. }) if attempt < ATTEMPTS_MAX => attempt += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Returns a free loopback address. No other test and no stack gets it while this process is alive.
pub fn claim_address() -> SocketAddr {
    stack::ports::claim().expect("a free port")
}

/// Returns the path of a built program.
pub fn built(name: &str) -> PathBuf {
    let folder = std::env::var_os("FLASHSALE_BIN_DIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug").into());
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run the tests by ./dev test", path.display());
    path
}

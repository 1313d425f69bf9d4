//! A Redis for one test, with the settings that the system requires.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lua::Redis;
use stack::{Protocol, Signal};

use crate::program::{Program, start_server};

/// A running server, which ends when it is dropped.
pub struct RedisServer {
    address: SocketAddr,
    directory: PathBuf,
    program: Program,
}

impl RedisServer {
    /// Starts an empty server.
    pub async fn start() -> Self {
        let directory = std::env::temp_dir().join(crate::fresh("redis"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (program, address) =
            start_server(Protocol::Redis, |address| server_command(address, &directory)).await;
        Self { address, directory, program }
    }

    /// Returns the server's URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Connects to the server, for the test's own commands.
    pub async fn client(&self) -> Redis {
        Redis::connect_once(&self.url(), Duration::from_secs(10)).await.expect("Redis is up")
    }

    /// Starts the server again, without the data of an earlier run.
    pub async fn run(&mut self) {
        self.kill();
        self.program = Program::spawn(&mut server_command(self.address, &self.directory));
        self.program.wait_until_responding(self.address, Protocol::Redis).await;
    }

    /// Sends SIGSTOP: connections stay open, but the server does not respond.
    pub fn pause(&self) {
        self.program.signal(Signal::STOP);
    }

    /// Sends SIGCONT: the server continues with its data.
    pub fn resume(&self) {
        self.program.signal(Signal::CONT);
    }

    /// Sends SIGKILL: the server loses all data.
    pub fn kill(&mut self) {
        self.program.kill();
    }
}

fn server_command(address: SocketAddr, directory: &Path) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            &address.port().to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(["--maxmemory-policy", "noeviction", "--repl-backlog-ttl", "0", "--dir"])
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory); // a leftover in the temporary folder is harmless
    }
}

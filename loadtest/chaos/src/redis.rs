//! The two Redis servers of the stack: the primary and a possible replacement. The first server is the
//! stack's own, so that `./dev` recognizes its process; the second one runs only while a scenario needs it.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use fred::prelude::*;
use fred::types::{ClusterHash, CustomCommand};
use stack::{Process, Protocol, Signal, StackFolder};

/// The longest wait until a server responds or a replica is in sync.
const RESPONSE_LIMIT: Duration = Duration::from_secs(20);
/// The polling interval.
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A Redis server of the stack.
#[derive(Debug)]
pub struct Node {
    name: &'static str,
    address: SocketAddr,
    data: PathBuf,
    process: Option<Process>,
}

/// The two Redis servers, of which one is the primary.
#[derive(Debug)]
pub struct RedisPair {
    folder: PathBuf,
    /// The command line of the first server; that of the second differs in port and folder.
    command_line: Vec<String>,
    nodes: [Node; 2],
    primary: usize,
}

impl RedisPair {
    /// Creates the pair. The first server is already running, as the stack's `redis`.
    pub fn new(folder: &Path, first: SocketAddr, second: SocketAddr) -> anyhow::Result<Self> {
        let stack = StackFolder::new(folder);
        let command_line = stack.launch("redis").context("reading the command line of Redis")?;
        let node =
            |name, address| Node { name, address, data: folder.join("data").join(name), process: None };
        let mut nodes = [node("redis", first), node("redis-second", second)];
        nodes[0].process = Some(Process::recorded("redis", &stack)?);
        Ok(Self { folder: folder.to_owned(), command_line, nodes, primary: 0 })
    }

    /// Returns the address of the first server.
    pub fn first(&self) -> SocketAddr {
        self.nodes[0].address
    }

    /// Returns the address of the second server.
    pub fn second(&self) -> SocketAddr {
        self.nodes[1].address
    }

    /// Returns the address of the primary, as far as the harness knows.
    pub fn primary(&self) -> SocketAddr {
        self.nodes[self.primary].address
    }

    /// Declares a server the primary.
    pub fn set_primary(&mut self, node: usize) {
        self.primary = node;
    }

    /// Restarts the first server empty, and stops the second one.
    pub async fn reset(&mut self) -> anyhow::Result<()> {
        self.primary = 0;
        for node in 0..2 {
            self.kill(node).await?;
            self.wipe(node)?;
        }
        self.start(0).await
    }

    /// Kills a server with SIGKILL.
    pub async fn kill(&mut self, node: usize) -> anyhow::Result<()> {
        match self.nodes[node].process.take() {
            Some(mut process) => Ok(process.kill().await?),
            None => Ok(()),
        }
    }

    /// Sends a signal to a server.
    pub fn signal(&mut self, node: usize, signal: Signal) {
        if let Some(process) = &mut self.nodes[node].process {
            process.signal(signal);
        }
    }

    /// Deletes the data of a server.
    pub fn wipe(&self, node: usize) -> anyhow::Result<()> {
        let data = &self.nodes[node].data;
        if data.exists() {
            std::fs::remove_dir_all(data).with_context(|| format!("deleting {}", data.display()))?;
        }
        Ok(())
    }

    /// Copies the data of a server.
    pub async fn back_up(&self, node: usize) -> anyhow::Result<()> {
        let (data, copy) = (&self.nodes[node].data, self.copy_of(node));
        if copy.exists() {
            std::fs::remove_dir_all(&copy)?;
        }
        copy_folder(data, &copy).with_context(|| format!("copying {}", data.display()))
    }

    /// Replaces the data of a server with the copy.
    pub fn restore(&self, node: usize) -> anyhow::Result<()> {
        self.wipe(node)?;
        let (data, copy) = (&self.nodes[node].data, self.copy_of(node));
        std::fs::rename(&copy, data).with_context(|| format!("restoring {}", copy.display()))
    }

    fn copy_of(&self, node: usize) -> PathBuf {
        self.nodes[node].data.with_extension("copy")
    }

    /// Starts a server that is not running, with its data, and waits until it responds.
    pub async fn start(&mut self, node: usize) -> anyhow::Result<()> {
        let Node { name, address, data, .. } = &self.nodes[node];
        std::fs::create_dir_all(data)?;
        let mut command = Command::new(&self.command_line[0]);
        command.args(&self.command_line[1..]);
        // Redis uses the last value of an option that is given twice.
        command.arg("--port").arg(address.port().to_string()).arg("--dir").arg(data);
        let log = self.folder.join("logs").join(format!("{name}.log"));
        // Ctrl-C must reach only the harness, which ends its processes in order.
        let mut process = Process::spawn_with_log(name, command.process_group(0), &log)?;
        if node == 0 {
            // Then ./dev recognizes the process.
            StackFolder::new(&self.folder).record(name, process.identity())?;
        }
        process.wait_until_ready(*address, Protocol::Redis, RESPONSE_LIMIT).await?;
        self.nodes[node].process = Some(process);
        Ok(())
    }

    /// Sends one command on a new connection.
    pub async fn command<T: fred::types::FromValue>(
        &self,
        node: usize,
        name: &'static str,
        args: &[&str],
    ) -> anyhow::Result<T> {
        let client = checker::redis::connect(&format!("redis://{}", self.nodes[node].address)).await?;
        let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
        let args: Vec<Value> = args.iter().map(|arg| Value::from(*arg)).collect();
        let reply = client.custom::<T, Value>(command, args).await;
        let _ = client.quit().await; // the connection is closed in any case
        reply.with_context(|| format!("{name} on {}", self.nodes[node].name))
    }

    /// Makes a server a replica, and waits until it is in sync.
    pub async fn replicate_from(&mut self, node: usize, leader: SocketAddr) -> anyhow::Result<()> {
        let port = leader.port().to_string();
        self.command::<String>(node, "REPLICAOF", &[&leader.ip().to_string(), &port]).await?;
        let begun = Instant::now();
        loop {
            let info: String = self.command(node, "INFO", &["replication"]).await?;
            if info.contains("master_link_status:up") && info.contains("master_sync_in_progress:0") {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < RESPONSE_LIMIT, "the replica is not in sync: {info}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Makes a replica a primary.
    pub async fn promote(&mut self, node: usize) -> anyhow::Result<()> {
        self.command::<String>(node, "REPLICAOF", &["NO", "ONE"]).await?;
        self.set_primary(node);
        Ok(())
    }

    /// Stops the second server; the first belongs to the stack.
    pub async fn stop_second(mut self) -> anyhow::Result<()> {
        self.kill(1).await
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

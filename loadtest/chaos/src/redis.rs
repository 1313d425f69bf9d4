//! The two Redis servers of the stack: the one that sells, and the one that may take its place. The
//! first is the stack's own, so `./dev` can tell that it runs; the second exists only while a scenario
//! needs it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use fred::prelude::*;
use fred::types::{ClusterHash, CustomCommand};
use rustix::process::Signal;
use tokio::process::Command;

use super::process::Process;

/// Longest wait for a server to answer, or for a replica to be in step.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One server.
#[derive(Debug)]
pub struct Node {
    name: &'static str,
    address: SocketAddr,
    data: PathBuf,
    process: Option<Process>,
}

/// Both.
#[derive(Debug)]
pub struct Redises {
    folder: PathBuf,
    /// The words that the first was started with; those of the second differ in port and folder.
    words: Vec<String>,
    nodes: [Node; 2],
    primary: usize,
}

impl Redises {
    /// The first runs already, as the stack's `redis`.
    pub fn new(folder: &Path, first: SocketAddr, second: SocketAddr) -> anyhow::Result<Self> {
        let launch = folder.join("run").join("redis.launch");
        let words =
            std::fs::read_to_string(&launch).with_context(|| format!("reading {}", launch.display()))?;
        let node =
            |name, address| Node { name, address, data: folder.join("data").join(name), process: None };
        let mut nodes = [node("redis", first), node("redis-second", second)];
        nodes[0].process = Some(Process::of_stack("redis", folder)?);
        let words = words.lines().map(str::to_owned).collect();
        Ok(Self { folder: folder.to_owned(), words, nodes, primary: 0 })
    }

    /// Where the first listens.
    pub fn first(&self) -> SocketAddr {
        self.nodes[0].address
    }

    /// Where the second listens.
    pub fn second(&self) -> SocketAddr {
        self.nodes[1].address
    }

    /// Where the one listens that sells, as far as the harness is concerned.
    pub fn primary(&self) -> SocketAddr {
        self.nodes[self.primary].address
    }

    /// From now on the other one sells.
    pub fn promoted(&mut self, node: usize) {
        self.primary = node;
    }

    /// The first, empty and alone.
    pub async fn reset(&mut self) -> anyhow::Result<()> {
        self.primary = 0;
        for node in 0..2 {
            self.kill(node).await?;
            self.wipe(node)?;
        }
        self.start(0).await
    }

    /// SIGKILL.
    pub async fn kill(&mut self, node: usize) -> anyhow::Result<()> {
        match self.nodes[node].process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Sends a signal.
    pub fn signal(&mut self, node: usize, signal: Signal) {
        if let Some(process) = &mut self.nodes[node].process {
            process.signal(signal);
        }
    }

    /// Deletes what it has on disk.
    pub fn wipe(&self, node: usize) -> anyhow::Result<()> {
        let data = &self.nodes[node].data;
        if data.exists() {
            std::fs::remove_dir_all(data).with_context(|| format!("deleting {}", data.display()))?;
        }
        Ok(())
    }

    /// Keeps a copy of what it has on disk, written out first.
    pub async fn copy(&self, node: usize) -> anyhow::Result<()> {
        let (data, copy) = (&self.nodes[node].data, self.copy_of(node));
        if copy.exists() {
            std::fs::remove_dir_all(&copy)?;
        }
        copy_folder(data, &copy).with_context(|| format!("copying {}", data.display()))
    }

    /// Puts the copy in the place of what it has.
    pub fn restore(&self, node: usize) -> anyhow::Result<()> {
        self.wipe(node)?;
        let (data, copy) = (&self.nodes[node].data, self.copy_of(node));
        std::fs::rename(&copy, data).with_context(|| format!("restoring {}", copy.display()))
    }

    fn copy_of(&self, node: usize) -> PathBuf {
        self.nodes[node].data.with_extension("copy")
    }

    /// Starts one that does not run, with what it has on disk, and waits until it answers.
    pub async fn start(&mut self, node: usize) -> anyhow::Result<()> {
        let Node { name, address, data, .. } = &self.nodes[node];
        std::fs::create_dir_all(data)?;
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        // Of an option that is given twice, Redis takes the later one.
        command.arg("--port").arg(address.port().to_string()).arg("--dir").arg(data);
        let log = self.folder.join("logs").join(format!("{name}.log"));
        let process = Process::spawn(name, &mut command, &log)?;
        if node == 0 {
            // As ./dev would have written it, so that it sees its own process running.
            let identity = process.identity().context("Redis ended at once")?;
            std::fs::write(self.folder.join("run").join("redis.pid"), identity + "\n")?;
        }
        self.nodes[node].process = Some(process);
        let begun = Instant::now();
        while self.command::<String>(node, "PING", &[]).await.is_err() {
            anyhow::ensure!(begun.elapsed() < ANSWER_LIMIT, "{} does not answer", self.nodes[node].name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// One command, on a connection of its own.
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
        let _ = client.quit().await; // it is gone either way
        reply.with_context(|| format!("{name} on {}", self.nodes[node].name))
    }

    /// Makes one follow the other, and waits until it is in step.
    pub async fn follow(&mut self, node: usize, leader: SocketAddr) -> anyhow::Result<()> {
        let port = leader.port().to_string();
        self.command::<String>(node, "REPLICAOF", &[&leader.ip().to_string(), &port]).await?;
        let begun = Instant::now();
        loop {
            let info: String = self.command(node, "INFO", &["replication"]).await?;
            if info.contains("master_link_status:up") && info.contains("master_sync_in_progress:0") {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < ANSWER_LIMIT, "the replica is not in step: {info}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Follows nobody any more.
    pub async fn promote(&mut self, node: usize) -> anyhow::Result<()> {
        self.command::<String>(node, "REPLICAOF", &["NO", "ONE"]).await?;
        self.promoted(node);
        Ok(())
    }

    /// Ends the second; the first is the stack's.
    pub async fn end(mut self) -> anyhow::Result<()> {
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

//! A Redis for one test, on a free loopback port, with the settings that the system requires.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lua::Redis;

/// A running server, which ends when it is dropped.
pub struct RedisServer {
    port: u16,
    directory: PathBuf,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts an empty server.
    pub async fn start() -> Self {
        let port = crate::system::free_address().port();
        let directory = std::env::temp_dir().join(crate::fresh("redis"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let mut server = Self { port, directory, child: None };
        server.run().await;
        server
    }

    /// Returns the server's URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Connects to the server, for the test's own commands.
    pub async fn client(&self) -> Redis {
        Redis::connect_once(&self.url(), Duration::from_secs(2)).await.expect("Redis is up")
    }

    /// Starts the server again, without the data of an earlier run.
    pub async fn run(&mut self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--maxmemory-policy", "noeviction", "--repl-backlog-ttl", "0"])
            .arg("--dir")
            .arg(&self.directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.child = Some(child);
        let url = self.url();
        crate::until("redis-server responds", async || {
            match Redis::connect_once(&url, Duration::from_millis(200)).await {
                Ok(redis) => redis.command::<String>("PING", vec![]).await.is_ok(),
                Err(_) => false,
            }
        })
        .await;
    }

    /// Sends SIGSTOP: connections stay open, but the server does not respond.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Sends SIGCONT: the server continues with its data.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// Sends SIGKILL: the server loses all data.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // it may have ended already
            let _ = child.wait();
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory); // a leftover in the temporary folder is harmless
    }
}

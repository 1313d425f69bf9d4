//! A program of ours as a process of its own, which can be ended as an operator does, and as a fault does.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running program; killed with the value.
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts one of those that `./dev test` has built. It says aloud what goes wrong.
    pub fn start(name: &str, args: impl IntoIterator<Item = String>) -> Self {
        let path = built(name);
        let mut command = Command::new(&path);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { child }
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// SIGTERM, and waits until it has ended in good order.
    pub async fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
        let status =
            crate::eventually("the program has ended", async || self.child.try_wait().expect("a child"))
                .await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// Where a program of ours lies.
fn built(name: &str) -> PathBuf {
    let folder = std::env::var_os("FLASHSALE_BIN_DIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug").into());
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run the tests by ./dev test", path.display());
    path
}

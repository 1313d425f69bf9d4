//! One of our programs as a separate process, which can be stopped like by an operator or killed like by a fault.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running program, which is killed when the value is dropped.
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts a program that `./dev test` has built. Its logs go to the test's standard error.
    pub fn start(name: &str, args: impl IntoIterator<Item = String>) -> Self {
        let path = built(name);
        let mut command = Command::new(&path);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { child }
    }

    /// Returns whether the program is running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Sends SIGTERM, and waits until the program has ended successfully.
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
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

/// Returns the path of a built program.
fn built(name: &str) -> PathBuf {
    let folder = std::env::var_os("FLASHSALE_BIN_DIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug").into());
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run the tests by ./dev test", path.display());
    path
}

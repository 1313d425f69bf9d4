//! Programs of others that tests run, and what is installed for them, once, under `.dev/cache/`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// The folder that has what a lock file names, installed by the first who needs it.
pub async fn installed_once(what: &str, lock: &[u8], install: impl AsyncFn(&Path)) -> PathBuf {
    let cache = root().join(".dev/cache");
    let digest = contract::ids::RequestDigest::compute(lock).0;
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let there = cache.join(format!("{what}-{name}"));
    if there.exists() {
        return there;
    }
    // Apart, and moved when it is whole: two may do so at once, and one may be interrupted.
    let own = cache.join(crate::fresh(what));
    std::fs::create_dir_all(&own).expect("a folder in .dev/cache");
    install(&own).await;
    if std::fs::rename(&own, &there).is_err() {
        assert!(there.exists(), "{} cannot be moved to {}", own.display(), there.display());
        std::fs::remove_dir_all(&own).expect("what another has installed, too");
    }
    there
}

/// Where one of these is.
pub fn find_program(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = names.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    found.unwrap_or_else(|| panic!("{} is not on PATH: ./dev test installs it", names[0]))
}

/// Runs a program to its end; panics with what it printed when it fails.
pub async fn run_to_end(what: &str, mut command: Command, limit: Duration) {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(limit, running).await;
    let output = ended.unwrap_or_else(|_| panic!("{what} took longer than {limit:?}")).expect("it starts");
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{what}: {}\n{text}", output.status);
    println!("{text}");
}

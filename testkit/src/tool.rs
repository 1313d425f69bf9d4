//! External programs that tests run, and their dependencies, which are installed once under `.dev/cache/`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// Returns the folder with the packages of a lock file. The first caller installs them.
pub async fn installed_once(what: &str, lock: &[u8], install: impl AsyncFn(&Path)) -> PathBuf {
    let cache = root().join(".dev/cache");
    let digest = contract::ids::RequestDigest::compute(lock).0;
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let target = cache.join(format!("{what}-{name}"));
    if target.exists() {
        return target;
    }
    // Installs into a separate folder and moves it when complete: two tests may install at once, and one may be
    // interrupted.
    let own = cache.join(crate::fresh(what));
    std::fs::create_dir_all(&own).expect("a folder in .dev/cache");
    install(&own).await;
    if std::fs::rename(&own, &target).is_err() {
        assert!(target.exists(), "{} cannot be moved to {}", own.display(), target.display());
        std::fs::remove_dir_all(&own).expect("the duplicate installation can be removed");
    }
    target
}

/// Returns the path of the first of these programs that is on PATH.
pub fn find_program(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = names.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    found.unwrap_or_else(|| panic!("{} is not on PATH: ./dev test installs it", names[0]))
}

/// Runs a program to its end. Panics with its output if it fails.
pub async fn run_to_end(what: &str, mut command: Command, limit: Duration) {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(limit, running).await;
    let output = ended.unwrap_or_else(|_| panic!("{what} took longer than {limit:?}")).expect("it starts");
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{what}: {}\n{text}", output.status);
    println!("{text}");
}
